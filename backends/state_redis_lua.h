/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_REDIS_LUA_H
#define DEX_BACKENDS_STATE_REDIS_LUA_H

/* Functions in Lua, put in front of the scripts that use them (state_redis_scripts.c). */

/*
 * In front of every script. `b` is the first part of all keys of a bucket; keys are described in
 * state_redis.h. check: the answer for a row without one of its first ${n} members, or nil.
 */
#define LUA_BASE                                                                            \
	"local b,call=KEYS[1],redis.call\n"                                                 \
	"local function num(s) return s and string.find(s,'^%d+$') end\n"                   \
	"local function text(n) return string.format('%.0f',math.max(0,tonumber(n))) end\n" \
	"local function check(k,r,n)\n"                                                     \
	" for i=1,n do if not r[i] then\n"                                                  \
	"  if call('EXISTS',k)==0 then return {1} end\n"                                    \
	"  return {4,k}\n"                                                                  \
	" end end\n"                                                                        \
	"end\n"

/*
 * Names of rows: the time, or one more than the last one. So they are in order of time over all
 * buckets as far as the clocks agree, strictly within one, and are never used again, not even when
 * the server has lost everything.
 */
#define LUA_NAMES                                                                          \
	"local function name(n) return string.format('%016.0f',n) end\n"                   \
	"local function names(clock,n)\n"                                                  \
	" local first=math.max(tonumber(call('GET',b..'seq') or '0')+1,tonumber(clock))\n" \
	" call('SET',b..'seq',name(first+n-1))\n"                                          \
	" return first\n"                                                                  \
	"end\n"

/* Add the messages of the arguments from ${i} onward: their number, then six for each. */
#define LUA_MESSAGES                                                                 \
	"local function queue(clock,i)\n"                                            \
	" local n=tonumber(ARGV[i])\n"                                               \
	" if n==0 then return end\n"                                                 \
	" local first=names(clock,n)\n"                                              \
	" for k=0,n-1 do\n"                                                          \
	"  local upload,sink,called,replace,data,due=unpack(ARGV,i+1+6*k,i+6+6*k)\n" \
	"  local s=name(first+k)\n"                                                  \
	"  local g=b..'g:'..upload..':'..sink\n"                                     \
	"  if call('ZCARD',g)==0 then call('ZADD',b..'h:'..sink,due,upload) end\n"   \
	"  call('ZADD',g,s,s)\n"                                                     \
	"  call('ZADD',b..'late',due,s)\n"                                           \
	"  call('HSET',b..'o:'..s,'upload',upload,'sink',sink,'name',called,\n"      \
	"   'replace',replace,'data',data,'due_at',due,'attempt','0')\n"             \
	" end\n"                                                                     \
	"end\n"

/* The oldest message of a group may have changed. */
#define LUA_HEAD                                                      \
	"local function head(upload,sink)\n"                          \
	" local s=call('ZRANGE',b..'g:'..upload..':'..sink,0,0)[1]\n" \
	" local due=s and call('HGET',b..'o:'..s,'due_at')\n"         \
	" if due then call('ZADD',b..'h:'..sink,due,upload)\n"        \
	" else call('ZREM',b..'h:'..sink,upload) end\n"               \
	"end\n"

#define LUA_DELIVERIES                                                                          \
	"local function due(s,target,at)\n"                                                     \
	" call('ZADD',b..'due',at,s)\n"                                                         \
	" call('ZADD',b..'due:'..target,at,s)\n"                                                \
	"end\n"                                                                                 \
	"local function make(s,upload,target,at,op)\n"                                          \
	" due(s,target,at)\n"                                                                   \
	" call('ZADD',b..'unfinished',at,s)\n"                                                  \
	" call('HSET',b..'t:'..upload,target,s)\n"                                              \
	" call('HSET',b..'d:'..s,'upload',upload,'target',target,'status','0','attempt','0',\n" \
	"  'due_at',at,'lease_until','0','queued_at',at,'ended_at','0','queue_op',op)\n"        \
	"end\n"                                                                                 \
	"local function later(x,y) if tonumber(x)>tonumber(y) then return x end return y end\n"

/* A message as an answer: see enum message_column in state_redis_parked.c. */
#define LUA_MESSAGE                                                                            \
	"local function message(s)\n"                                                          \
	" local r=call('HMGET',b..'o:'..s,'upload','sink','name','replace','data','due_at',\n" \
	"  'attempt','parked_at','reason')\n"                                                  \
	" table.insert(r,1,s)\n"                                                               \
	" return r\n"                                                                          \
	"end\n"

/* A delivery as an answer: see enum delivery_column in state_redis_delivery.c. */
#define LUA_ROW                                                                                \
	"local function row(s)\n"                                                              \
	" local r=call('HMGET',b..'d:'..s,'upload','target','status','attempt','due_at',\n"    \
	"  'lease_until','queued_at','ended_at','lease_owner','location','issues','sha256')\n" \
	" table.insert(r,1,s)\n"                                                               \
	" return r\n"                                                                          \
	"end\n"

/*
 * The upload is no longer open. Each owner has a set of those that are: unlike a number it is right
 * after any repetition.
 */
#define LUA_CLOSE                                                  \
	"local function close(u,id)\n"                             \
	" call('ZREM',b..'open',id)\n"                             \
	" local owner=call('HGET',u,'owner')\n"                    \
	" if owner then call('SREM',b..'openof:'..owner,id) end\n" \
	"end\n"

#endif
