/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_redis_scripts.h"

#include "backends/state_redis_lua.h"

/*
 * ARGV: 1 id 2 operation 3 created 4 clock 5 owner ("": nobody) 6 number of names and values,
 * those, messages
 */
static const char upload_create[] =
	LUA_BASE LUA_NAMES LUA_MESSAGES "local u=b..'u:'..ARGV[1]\n"
					"local op=call('HGET',u,'op')\n"
					"if op==ARGV[2] then return {0} end\n"
					"if op or call('EXISTS',u)==1 then return {3} end\n"
					"local n=tonumber(ARGV[6])\n"
					"call('ZADD',b..'open',ARGV[3],ARGV[1])\n"
					"call('ZADD',b..'times',ARGV[3],ARGV[1])\n"
					"if ARGV[5]~='' then\n"
					" call('SADD',b..'openof:'..ARGV[5],ARGV[1])\n"
					"end\n"
					"queue(ARGV[4],7+n)\n"
					"call('HSET',u,unpack(ARGV,7,6+n))\n"
					"return {0}\n";

/*
 * ARGV: 1 id 2 operation 3 from 4 to 5 length 6 has a token 7 token 8 beyond 9 fence 10 now
 * 11 complete 12 clock 13 token of the lock to be freed ("": none) 14 channel of state_wait 15
 * number of targets, those, messages. Answers too whether it has freed the lock.
 */
static const char upload_change[] = LUA_BASE LUA_NAMES LUA_MESSAGES LUA_DELIVERIES LUA_CLOSE
	"local function less(x,y) return #x<#y or (#x==#y and x<y) end\n"
	"local id,op,from,to,length=unpack(ARGV,1,5)\n"
	"local fence,now,complete=ARGV[9],ARGV[10],ARGV[11]=='1'\n"
	"local u=b..'u:'..id\n"
	"local r=call('HMGET',u,'op','status','kind','offset','fence','length','touched_at')\n"
	"local wrong=check(u,r,7)\n"
	"if wrong then return wrong end\n"
	"if r[1]==op then return {0} end\n"
	"if not (num(r[2]) and num(r[4]) and num(r[5]) and (r[6]=='-1' or num(r[6])) and\n"
	" num(r[7])) then return {4,u} end\n"
	"if r[2]~='0' or r[4]~=from or less(fence,r[5]) then return {2} end\n"
	"if r[6]~='-1' then\n"
	" if length~='-1' and length~=r[6] then return {2} end\n"
	" length=r[6]\n"
	"end\n"
	"if complete then if length~=to then return {2} end\n"
	"elseif length~='-1' and less(length,to) then return {2} end\n"
	"local touched=r[7]\n"
	"if from~=to then touched=now end\n"
	"local lock=b..'lock:'..id\n"
	"local free=ARGV[13]~='' and call('GET',lock)==ARGV[13]\n"
	"local n=tonumber(ARGV[15])\n"
	"if complete then\n"
	" close(u,id)\n"
	" call('ZADD',b..'times','GT',now,id)\n"
	" if r[3]=='1' then call('ZADD',b..'partial',touched,id) end\n"
	" if n>0 then\n"
	"  local first=names(ARGV[12],n)\n"
	"  for i=1,n do make(name(first+i-1),id,ARGV[15+i],now,op) end\n"
	" end\n"
	"elseif from~=to then\n"
	" call('ZADD',b..'open',touched,id)\n"
	"end\n"
	"queue(ARGV[12],16+n)\n"
	"if complete then call('HSET',u,'status','1','completed_at',now) end\n"
	"if ARGV[6]=='1' then call('HSET',u,'token',ARGV[7]) end\n"
	"call('HSET',u,'offset',to,'length',length,'touched_at',touched,'beyond',ARGV[8],\n"
	" 'fence',fence,'op',op)\n"
	"if free then call('DEL',lock,b..'want:'..id) end\n"
	"if complete and n>0 then redis.pcall('PUBLISH',ARGV[14],'1') end\n"
	"return {0,free and 1 or 0}\n";

/* ARGV: 1 id 2 operation 3 status 4 touched before 5 now 6 clock, messages */
static const char upload_end[] = LUA_BASE LUA_NAMES LUA_MESSAGES LUA_CLOSE
	"local id,op,status=ARGV[1],ARGV[2],ARGV[3]\n"
	"local u=b..'u:'..id\n"
	"local r=call('HMGET',u,'op','status','kind','touched_at')\n"
	"local wrong=check(u,r,4)\n"
	"if wrong then return wrong end\n"
	"if r[1]==op then return {0} end\n"
	"if not (num(r[2]) and num(r[4])) then return {4,u} end\n"
	"local open,complete=r[2]=='0',r[2]=='1'\n"
	"local may\n"
	"if status=='2' then\n"
	" may=(open or (complete and r[3]=='1')) and tonumber(r[4])<=tonumber(ARGV[4])\n"
	"else\n"
	" if status=='3' then may=open or complete\n"
	" else may=complete and call('HEXISTS',u,'delivered_at')==1 end\n"
	" for _,s in ipairs(may and call('HVALS',b..'t:'..id) or {}) do\n"
	"  if call('HGET',b..'d:'..s,'status')=='0' then may=false end\n"
	" end\n"
	"end\n"
	"if not may then return {2} end\n"
	"close(u,id)\n"
	"for _,k in ipairs({'partial','delivered'}) do call('ZREM',b..k,id) end\n"
	"call('ZADD',b..'removable',ARGV[5],id)\n"
	"if status~='4' then call('ZADD',b..'times','GT',ARGV[5],id) end\n"
	"queue(ARGV[6],7)\n"
	"call('HSET',u,'status',status,'ended_at',ARGV[5],'removable','1','op',op)\n"
	"return {0}\n";

/* ARGV: 1 id */
static const char upload_removed[] =
	LUA_BASE "local u=b..'u:'..ARGV[1]\n"
		 "local r=call('HMGET',u,'removable','status','ended_at')\n"
		 "if r[1]~='1' then return {0} end\n"
		 "if not (num(r[2]) and num(r[3])) then return {4,u} end\n"
		 "call('ZREM',b..'removable',ARGV[1])\n"
		 "if r[2]=='2' or r[2]=='3' then call('ZADD',b..'tombstones',r[3],ARGV[1]) end\n"
		 "call('HSET',u,'removable','0')\n"
		 "return {0}\n";

/* ARGV: 1 before 2 limit. Answers the number too; a repetition does not know the first one's. */
static const char upload_purge[] = LUA_BASE
	"local ids=call('ZRANGEBYSCORE',b..'tombstones','-inf','('..ARGV[1],'LIMIT',0,ARGV[2])\n"
	"for _,id in ipairs(ids) do\n"
	" for _,s in ipairs(call('HVALS',b..'t:'..id)) do\n"
	"  call('ZREM',b..'unfinished',s)\n"
	"  call('DEL',b..'d:'..s)\n"
	" end\n"
	" call('ZREM',b..'tombstones',id)\n"
	" call('ZREM',b..'times',id)\n"
	" call('DEL',b..'t:'..id,b..'u:'..id)\n"
	"end\n"
	"return {0,#ids}\n";

/*
 * ARGV: 1 owner 2 now 3 until 4 operation 5 upload ("": any) 6 target ("": any). The first look is
 * for what this very operation has leased before: it lies at the lease's end.
 */
static const char delivery_lease[] = LUA_BASE LUA_DELIVERIES LUA_ROW
	"local owner,now,till,op,upload,target=unpack(ARGV)\n"
	"for _,s in ipairs(call('ZRANGEBYSCORE',b..'due',till,till)) do\n"
	" if call('HGET',b..'d:'..s,'lease_op')==op then return {0,row(s)} end\n"
	"end\n"
	"local s,best\n"
	"if upload=='' then\n"
	" local k=b..'due'\n"
	" if target~='' then k=k..':'..target end\n"
	" s=call('ZRANGEBYSCORE',k,'-inf',now,'LIMIT',0,1)[1]\n"
	"else\n"
	" local of=call('HGETALL',b..'t:'..upload)\n"
	" for i=1,#of,2 do\n"
	"  local at=(target=='' or target==of[i]) and call('ZSCORE',b..'due',of[i+1])\n"
	"  at=at and tonumber(at)\n"
	"  if at and at<=tonumber(now) and (not best or at<best or (at==best and of[i+1]<s)) then\n"
	"   s,best=of[i+1],at\n"
	"  end\n"
	" end\n"
	"end\n"
	"if not s then return {1} end\n"
	"local d=b..'d:'..s\n"
	"local r=call('HMGET',d,'status','target','due_at')\n"
	"if r[1]~='0' or not r[2] or not num(r[3]) then return {4,d} end\n"
	"due(s,r[2],later(r[3],till))\n"
	"call('HSET',d,'lease_owner',owner,'lease_until',till,'lease_op',op)\n"
	"return {0,row(s)}\n";

/* ARGV: 1 name 2 owner 3 until */
static const char delivery_renew[] =
	LUA_BASE LUA_DELIVERIES "local d=b..'d:'..ARGV[1]\n"
				"local r=call('HMGET',d,'status','lease_owner','target','due_at')\n"
				"if r[1]~='0' or r[2]~=ARGV[2] then return {2} end\n"
				"if not r[3] or not num(r[4]) then return {4,d} end\n"
				"due(ARGV[1],r[3],later(r[4],ARGV[3]))\n"
				"call('HSET',d,'lease_until',ARGV[3])\n"
				"return {0}\n";

/*
 * ARGV: 1 name 2 owner 3 operation 4 status 5 due 6 to be added to the attempts 7 now 8 clock
 * 9 number of names and values to be set, those, messages
 */
static const char delivery_end[] = LUA_BASE LUA_NAMES LUA_MESSAGES LUA_DELIVERIES
	"local s,owner,op,status,at,count,now,clock,n=unpack(ARGV,1,9)\n"
	"local d=b..'d:'..s\n"
	"local r=call('HMGET',d,'end_op','status','lease_owner','upload','target','attempt',"
	"'due_at')\n"
	"if r[1]==op then return {0} end\n"
	"if r[2]~='0' or r[3]~=owner then return {2} end\n"
	"if not (r[4] and r[5] and num(r[6]) and num(r[7])) then return {4,d} end\n"
	"local u=b..'u:'..r[4]\n"
	"local delivered=status=='1' and call('HGET',u,'status')=='1'\n"
	"for _,o in ipairs(delivered and call('HVALS',b..'t:'..r[4]) or {}) do\n"
	" if o~=s and call('HGET',b..'d:'..o,'status')~='1' then delivered=false end\n"
	"end\n"
	"if status=='0' then due(s,r[5],at)\n"
	"else\n"
	" at=r[7]\n"
	" call('ZREM',b..'due',s)\n"
	" call('ZREM',b..'due:'..r[5],s)\n"
	" if status=='1' then call('ZREM',b..'unfinished',s) end\n"
	"end\n"
	"if delivered then call('ZADD',b..'delivered',now,r[4]) end\n"
	"queue(clock,10+n)\n"
	"if delivered then call('HSET',u,'delivered_at',now) end\n"
	"call('HDEL',d,'lease_owner','location','issues','sha256')\n"
	"call('HSET',d,'status',status,'due_at',at,'lease_until','0','end_op',op,\n"
	" 'attempt',text(r[6]+count),'ended_at',status=='0' and '0' or now,\n"
	" unpack(ARGV,10,9+n))\n"
	"return {0}\n";

/* ARGV: 1 upload 2 target 3 now 4 clock 5 operation, messages */
static const char delivery_queue[] = LUA_BASE LUA_NAMES LUA_MESSAGES LUA_DELIVERIES
	"local id,target,now,clock,op=unpack(ARGV,1,5)\n"
	"local u=b..'u:'..id\n"
	"local r=call('HMGET',u,'status')\n"
	"local wrong=check(u,r,1)\n"
	"if wrong then return wrong end\n"
	"local s=call('HGET',b..'t:'..id,target)\n"
	"if s then\n"
	" local o=call('HMGET',b..'d:'..s,'status','queue_op')\n"
	" if not o[1] then return {4,b..'d:'..s} end\n"
	" if o[2]==op or (r[1]=='1' and o[1]=='0') then return {0} end\n"
	"end\n"
	"if r[1]~='1' then return {2} end\n"
	"s=s or name(names(clock,1))\n"
	"call('ZREM',b..'delivered',id)\n"
	"queue(clock,6)\n"
	"call('HDEL',u,'delivered_at')\n"
	"call('DEL',b..'d:'..s)\n"
	"make(s,id,target,now,op)\n"
	"return {0}\n";

/* ARGV: 1 upload */
static const char delivery_of_upload[] = LUA_BASE LUA_ROW
	"local out={0}\n"
	"for _,s in ipairs(call('HVALS',b..'t:'..ARGV[1])) do out[#out+1]=row(s) end\n"
	"return out\n";

/*
 * ARGV: 1 operation 2 clock, messages. There is no row that could keep the operation's name: a key
 * of its own does, for longer than anyone asks again.
 */
static const char outbox_add[] =
	LUA_BASE LUA_NAMES LUA_MESSAGES "local k=b..'op:'..ARGV[1]\n"
					"if call('EXISTS',k)==1 then return {0} end\n"
					"queue(ARGV[2],3)\n"
					"call('SET',k,'1','EX',120)\n"
					"return {0}\n";

/* ARGV: 1 sink 2 now 3 until 4 operation 5 limit, ids of uploads. Answers the messages too. */
static const char outbox_take[] = LUA_BASE
	"local sink,now,till,op,max=unpack(ARGV,1,5)\n"
	"local out,heads={0},{}\n"
	"for i=6,#ARGV do\n"
	" local l=max-#out+1>0 and call('ZRANGE',b..'g:'..ARGV[i]..':'..sink,0,max-#out) or {}\n"
	" for j,s in ipairs(l) do\n"
	"  local o=b..'o:'..s\n"
	"  local m=call('HMGET',o,'name','replace','data','due_at','attempt','op')\n"
	"  if check(o,m,5) or not num(m[4]) then return {4,o} end\n"
	"  if tonumber(m[4])>tonumber(now) and m[6]~=op then break end\n"
	"  out[#out+1]={s,ARGV[i],unpack(m,1,5)}\n"
	"  if j==1 then heads[#heads+1]=ARGV[i] end\n"
	" end\n"
	"end\n"
	"for _,upload in ipairs(heads) do call('ZADD',b..'h:'..sink,till,upload) end\n"
	"for i=2,#out do\n"
	" call('ZADD',b..'late',till,out[i][1])\n"
	" call('HSET',b..'o:'..out[i][1],'due_at',till,'op',op)\n"
	"end\n"
	"return out\n";

/* ARGV: names */
static const char outbox_sent[] =
	LUA_BASE LUA_HEAD "for _,s in ipairs(ARGV) do\n"
			  " local o=b..'o:'..s\n"
			  " local r=call('HMGET',o,'upload','sink')\n"
			  " local wrong=check(o,r,2)\n"
			  " if wrong and wrong[1]==4 then return wrong end\n"
			  " if not wrong then\n"
			  "  call('ZREM',b..'late',s)\n"
			  "  call('ZREM',b..'g:'..r[1]..':'..r[2],s)\n"
			  "  call('ZREM',b..'p:'..r[1]..':'..r[2],s)\n"
			  "  call('ZREM',b..'parked',s)\n"
			  "  head(r[1],r[2])\n"
			  "  call('DEL',o)\n"
			  " end\n"
			  "end\n"
			  "return {0}\n";

/* ARGV: 1 name 2 due 3 operation */
static const char outbox_retry[] =
	LUA_BASE LUA_HEAD "local s,at,op=unpack(ARGV)\n"
			  "local o=b..'o:'..s\n"
			  "local r=call('HMGET',o,'upload','sink','attempt','op','parked_at')\n"
			  "local wrong=check(o,r,3)\n"
			  "if wrong then return wrong[1]==1 and {0} or wrong end\n"
			  "if r[4]==op or r[5] then return {0} end\n"
			  "if not num(r[3]) then return {4,o} end\n"
			  "call('ZADD',b..'late',at,s)\n"
			  "call('HSET',o,'due_at',at,'attempt',text(r[3]+1),'op',op)\n"
			  "head(r[1],r[2])\n"
			  "return {0}\n";

/* ARGV: 1 name 2 reason 3 now. Repeated, it finds the message parked. */
static const char outbox_park[] =
	LUA_BASE LUA_HEAD "local s,reason,now=unpack(ARGV)\n"
			  "local o=b..'o:'..s\n"
			  "local r=call('HMGET',o,'upload','sink','attempt','parked_at')\n"
			  "local wrong=check(o,r,3)\n"
			  "if wrong then return wrong[1]==1 and {0} or wrong end\n"
			  "if r[4] then return {0} end\n"
			  "if not num(r[3]) then return {4,o} end\n"
			  "call('ZREM',b..'late',s)\n"
			  "call('ZREM',b..'g:'..r[1]..':'..r[2],s)\n"
			  "call('ZADD',b..'p:'..r[1]..':'..r[2],s,s)\n"
			  "call('ZADD',b..'parked',now,s)\n"
			  "call('HSET',o,'parked_at',now,'reason',reason,'attempt',text(r[3]+1))\n"
			  "head(r[1],r[2])\n"
			  "return {0}\n";

/* ARGV: 1 name 2 now */
static const char outbox_unpark[] =
	LUA_BASE LUA_HEAD "local s,now=unpack(ARGV)\n"
			  "local o=b..'o:'..s\n"
			  "local r=call('HMGET',o,'upload','sink','parked_at')\n"
			  "local wrong=check(o,r,2)\n"
			  "if wrong then return wrong[1]==1 and {0} or wrong end\n"
			  "if not r[3] then return {0} end\n"
			  "call('ZREM',b..'parked',s)\n"
			  "call('ZREM',b..'p:'..r[1]..':'..r[2],s)\n"
			  "call('ZADD',b..'g:'..r[1]..':'..r[2],s,s)\n"
			  "call('ZADD',b..'late',now,s)\n"
			  "call('HDEL',o,'parked_at','reason','op')\n"
			  "call('HSET',o,'due_at',now,'attempt','0')\n"
			  "head(r[1],r[2])\n"
			  "return {0}\n";

/* KEYS: 1 the key. ARGV: 1 only if absent 2 now 3 expires 4 operation 5 ms to be kept (0: ever)
 * 6 value */
static const char kv_put[] = "local k,call=KEYS[1],redis.call\n"
			     "if ARGV[1]=='1' then\n"
			     " local v=call('GET',k)\n"
			     " if v then\n"
			     "  local at,op=string.match(v,'^(%d+) (%x+) ')\n"
			     "  if not at then return {4,k} end\n"
			     "  if op==ARGV[4] then return {0} end\n"
			     "  if at=='0' or tonumber(at)>tonumber(ARGV[2]) then return {2} end\n"
			     " end\n"
			     "end\n"
			     "call('SET',k,ARGV[3]..' '..ARGV[4]..' '..ARGV[6])\n"
			     "if ARGV[5]~='0' then call('PEXPIRE',k,ARGV[5]) end\n"
			     "return {0}\n";

/* ARGV: 1 g:ID:SINK or p:ID:SINK of a group. Answers its messages too. */
static const char move_group[] =
	LUA_BASE LUA_MESSAGE "local out={0}\n"
			     "for _,s in ipairs(call('ZRANGE',b..ARGV[1],0,-1)) do\n"
			     " out[#out+1]=message(s)\n"
			     "end\n"
			     "return out\n";

/*
 * ARGV: 1 id 2 status 3 kind 4 touched 5 delivered (0: not) 6 ended 7 removable 8 clock
 * 9 time of struct upload_mark 10 number of names and values, those, number of deliveries, nine
 * for each
 */
static const char move_put_upload[] = LUA_BASE LUA_NAMES LUA_DELIVERIES
	"local id,status,kind,touched,delivered,ended,removable,clock,at=unpack(ARGV,1,9)\n"
	"local n=tonumber(ARGV[10])\n"
	"local u=b..'u:'..id\n"
	"if call('EXISTS',u)==1 then return {2} end\n"
	"local i=11+n\n"
	"local count=tonumber(ARGV[i])\n"
	"local first=count>0 and names(clock,count)\n"
	"for k=0,count-1 do\n"
	" local "
	"target,st,attempt,due_at,queued,over,location,issues,sum=unpack(ARGV,i+1+9*k,i+9+9*k)\n"
	" local s=name(first+k)\n"
	" local d=b..'d:'..s\n"
	" make(s,id,target,due_at,'0')\n"
	" if st~='0' then\n"
	"  call('ZREM',b..'due',s)\n"
	"  call('ZREM',b..'due:'..target,s)\n"
	" end\n"
	" if st=='1' then call('ZREM',b..'unfinished',s)\n"
	" else call('ZADD',b..'unfinished',queued,s) end\n"
	" call('HSET',d,'status',st,'attempt',attempt,'queued_at',queued,'ended_at',over)\n"
	" if location~='' then call('HSET',d,'location',location) end\n"
	" if issues~='' then call('HSET',d,'issues',issues) end\n"
	" if sum~='' then call('HSET',d,'sha256',sum) end\n"
	"end\n"
	"if status=='0' then call('ZADD',b..'open',touched,id)\n"
	"elseif status=='1' then\n"
	" if kind=='1' then call('ZADD',b..'partial',touched,id) end\n"
	" if delivered~='0' then call('ZADD',b..'delivered',delivered,id) end\n"
	"elseif removable=='1' then call('ZADD',b..'removable',ended,id)\n"
	"elseif status~='4' then call('ZADD',b..'tombstones',ended,id) end\n"
	"call('ZADD',b..'times',at,id)\n"
	"call('HSET',u,unpack(ARGV,11,10+n))\n"
	"return {0}\n";

/* ARGV: 1 id, of an upload that may not be in the order of struct upload_mark */
static const char upload_enlist[] = LUA_BASE
	"local r=call('HMGET',b..'u:'..ARGV[1],'created_at','completed_at','ended_at','status')\n"
	"if not num(r[1]) then return {0} end\n"
	"local at=math.max(tonumber(r[1]),tonumber(r[2] or '0'))\n"
	"if r[4]=='2' or r[4]=='3' then at=math.max(at,tonumber(r[3] or '0')) end\n"
	"call('ZADD',b..'times',text(at),ARGV[1])\n"
	"return {0}\n";

/* All uploads of the bucket are in it. */
static const char upload_enlisted[] = LUA_BASE "call('SET',b..'timed','1')\n"
					       "return {0}\n";

/* ARGV: 1 upload 2 sink 3 clock 4 parked 5 number, seven for each message */
static const char move_put_messages[] = LUA_BASE LUA_NAMES
	"local upload,sink,parked=ARGV[1],ARGV[2],ARGV[4]=='1'\n"
	"local n=tonumber(ARGV[5])\n"
	"local g=b..(parked and 'p:' or 'g:')..upload..':'..sink\n"
	"if call('ZCARD',g)>0 then return {2} end\n"
	"local first=names(ARGV[3],n)\n"
	"for k=0,n-1 do\n"
	" local called,replace,data,due,attempt,at,reason=unpack(ARGV,6+7*k,12+7*k)\n"
	" local s=name(first+k)\n"
	" call('ZADD',g,s,s)\n"
	" if parked then\n"
	"  call('ZADD',b..'parked',at,s)\n"
	"  call('HSET',b..'o:'..s,'parked_at',at,'reason',reason)\n"
	" else\n"
	"  if k==0 then call('ZADD',b..'h:'..sink,due,upload) end\n"
	"  call('ZADD',b..'late',due,s)\n"
	" end\n"
	" call('HSET',b..'o:'..s,'upload',upload,'sink',sink,'name',called,\n"
	"  'replace',replace,'data',data,'due_at',due,'attempt',attempt)\n"
	"end\n"
	"return {0}\n";

/* Answers the layout's name. Writes, so that a replica and a full server are found out. */
static const char all_probe[] =
	"local out={}\n"
	"for i=1,#KEYS-1 do\n"
	" local b=KEYS[i]\n"
	" redis.call('SET',b..'format','" STATE_REDIS_SCRIPTS_FORMAT "','NX')\n"
	" out[i]=redis.call('GET',b..'format')\n"
	"end\n"
	"return out\n";

/* ARGV: 1 now. Answers open, pending, unfinished, late, parked. */
static const char all_counts[] =
	"local out,call={},redis.call\n"
	"for i=1,#KEYS-1 do\n"
	" local b=KEYS[i]\n"
	" out[i]={call('ZCARD',b..'open'),call('ZCARD',b..'due'),call('ZCARD',b..'unfinished'),\n"
	"  call('ZCOUNT',b..'late','-inf',ARGV[1]),call('ZCARD',b..'parked')}\n"
	"end\n"
	"return out\n";

/* ARGV: 1 owner ("": nobody). Answers open uploads in all and of the owner. */
static const char all_open[] = "local out,call={},redis.call\n"
			       "for i=1,#KEYS-1 do\n"
			       " local k=KEYS[i]\n"
			       " out[i]={call('ZCARD',k..'open'),\n"
			       "  ARGV[1]~='' and call('SCARD',k..'openof:'..ARGV[1]) or 0}\n"
			       "end\n"
			       "return out\n";

/* ARGV: 1 cutoff 2 limit, names of indexes. Answers id, time, id, time … */
static const char all_scan[] = LUA_BASE
	"local out={}\n"
	"for i=1,#KEYS-1 do\n"
	" local k=KEYS[i]\n"
	" out[i]={}\n"
	" for j=3,#ARGV do\n"
	"  local l=call('ZRANGEBYSCORE',k..ARGV[j],'-inf',ARGV[1],'WITHSCORES','LIMIT',0,ARGV[2])\n"
	"  for n=1,#l,2 do\n"
	"   table.insert(out[i],l[n])\n"
	"   table.insert(out[i],text(l[n+1]))\n"
	"  end\n"
	" end\n"
	"end\n"
	"return out\n";

/*
 * ARGV: 1 time and 2 id of the last one seen 3 until 4 limit. Answers whether all uploads of the
 * bucket are in the order, and id, time, id, time …
 */
static const char all_times[] =
	LUA_BASE "local at,last,till,limit=unpack(ARGV)\n"
		 "local out={}\n"
		 "for i=1,#KEYS-1 do\n"
		 " local k=KEYS[i]\n"
		 " local res,from,l={call('EXISTS',k..'timed')},0,0\n"
		 " repeat\n"
		 "  l=call('ZRANGEBYSCORE',k..'times',at,'('..till,'WITHSCORES','LIMIT',from,64)\n"
		 "  from=from+64\n"
		 "  for n=1,#l,2 do\n"
		 "   if #res<2*limit and (tonumber(l[n+1])>tonumber(at) or l[n]>last) then\n"
		 "    table.insert(res,l[n])\n"
		 "    table.insert(res,text(l[n+1]))\n"
		 "   end\n"
		 "  end\n"
		 " until #l<128 or #res>2*limit\n"
		 " out[i]=res\n"
		 "end\n"
		 "return out\n";

/* ARGV: 1 latest 2 target ("": any). Answers time and name of the first, or an empty array. */
static const char all_due[] =
	LUA_BASE "local out={}\n"
		 "for i=1,#KEYS-1 do\n"
		 " local k=KEYS[i]\n"
		 " k=k..'due'\n"
		 " if ARGV[2]~='' then k=k..':'..ARGV[2] end\n"
		 " local l=call('ZRANGEBYSCORE',k,'-inf',ARGV[1],'WITHSCORES','LIMIT',0,1)\n"
		 " out[i]=l[1] and {text(l[2]),l[1]} or {}\n"
		 "end\n"
		 "return out\n";

/*
 * ARGV: 1 time and 2 name of the last one seen 3 limit 4 target ("": any). Answers whether there
 * may be more, time and name of the last one looked at, and deliveries. A look ends after a
 * thousand of other targets, so that the server has time for others.
 */
static const char all_unfinished[] = LUA_BASE LUA_ROW
	"local at,last,limit,target=unpack(ARGV)\n"
	"local out={}\n"
	"for i=1,#KEYS-1 do\n"
	" local k=KEYS[i]\n"
	" b=k\n"
	" local res,seen,from,l={'0',at,last},0,0\n"
	" repeat\n"
	"  l=call('ZRANGEBYSCORE',b..'unfinished',at,'+inf','WITHSCORES','LIMIT',from,64)\n"
	"  from=from+64\n"
	"  for j=1,#l,2 do\n"
	"   if res[1]=='0' and (tonumber(l[j+1])>tonumber(at) or l[j]>last) then\n"
	"    res[2],res[3]=text(l[j+1]),l[j]\n"
	"    seen=seen+1\n"
	"    if target=='' or call('HGET',b..'d:'..l[j],'target')==target then\n"
	"     res[#res+1]=row(l[j])\n"
	"    end\n"
	"    if seen==1000 or #res-3>=tonumber(limit) then res[1]='1' end\n"
	"   end\n"
	"  end\n"
	" until #l<128 or res[1]=='1'\n"
	" out[i]=res\n"
	"end\n"
	"return out\n";

/* ARGV: 1 sink 2 now 3 limit. Answers upload, time, upload, time … of groups that are due. */
static const char all_heads[] =
	LUA_BASE "local out={}\n"
		 "for i=1,#KEYS-1 do\n"
		 " local k=KEYS[i]\n"
		 " local l=call('ZRANGEBYSCORE',k..'h:'..ARGV[1],'-inf',ARGV[2],'WITHSCORES',\n"
		 "  'LIMIT',0,ARGV[3])\n"
		 " for n=2,#l,2 do l[n]=text(l[n]) end\n"
		 " out[i]=l\n"
		 "end\n"
		 "return out\n";

/* ARGV: 1 time and 2 name of the last one seen 3 limit. Answers parked messages. */
static const char all_parked[] = LUA_BASE LUA_MESSAGE
	"local at,last,limit=unpack(ARGV)\n"
	"local out={}\n"
	"for i=1,#KEYS-1 do\n"
	" b=KEYS[i]\n"
	" local res,from,l={},0,0\n"
	" repeat\n"
	"  l=call('ZRANGEBYSCORE',b..'parked',at,'+inf','WITHSCORES','LIMIT',from,64)\n"
	"  from=from+64\n"
	"  for n=1,#l,2 do\n"
	"   if #res<tonumber(limit) and (tonumber(l[n+1])>tonumber(at) or l[n]>last) then\n"
	"    res[#res+1]=message(l[n])\n"
	"   end\n"
	"  end\n"
	" until #l<128 or #res>=tonumber(limit)\n"
	" out[i]=res\n"
	"end\n"
	"return out\n";

const struct redis_script state_redis_scripts[SCRIPT_COUNT] = {
	[SCRIPT_UPLOAD_CREATE] = {.name = "upload_create", .text = upload_create},
	[SCRIPT_UPLOAD_CHANGE] = {.name = "upload_change", .text = upload_change},
	[SCRIPT_UPLOAD_END] = {.name = "upload_end", .text = upload_end},
	[SCRIPT_UPLOAD_REMOVED] = {.name = "upload_removed", .text = upload_removed},
	[SCRIPT_UPLOAD_PURGE] = {.name = "upload_purge", .text = upload_purge},
	[SCRIPT_DELIVERY_LEASE] = {.name = "delivery_lease", .text = delivery_lease},
	[SCRIPT_DELIVERY_RENEW] = {.name = "delivery_renew", .text = delivery_renew},
	[SCRIPT_DELIVERY_END] = {.name = "delivery_end", .text = delivery_end},
	[SCRIPT_DELIVERY_QUEUE] = {.name = "delivery_queue", .text = delivery_queue},
	[SCRIPT_DELIVERY_OF_UPLOAD] = {.name = "delivery_of_upload", .text = delivery_of_upload},
	[SCRIPT_OUTBOX_ADD] = {.name = "outbox_add", .text = outbox_add},
	[SCRIPT_OUTBOX_TAKE] = {.name = "outbox_take", .text = outbox_take},
	[SCRIPT_OUTBOX_SENT] = {.name = "outbox_sent", .text = outbox_sent},
	[SCRIPT_OUTBOX_RETRY] = {.name = "outbox_retry", .text = outbox_retry},
	[SCRIPT_OUTBOX_PARK] = {.name = "outbox_park", .text = outbox_park},
	[SCRIPT_OUTBOX_UNPARK] = {.name = "outbox_unpark", .text = outbox_unpark},
	[SCRIPT_KV_PUT] = {.name = "kv_put", .text = kv_put},
	[SCRIPT_UPLOAD_ENLIST] = {.name = "upload_enlist", .text = upload_enlist},
	[SCRIPT_UPLOAD_ENLISTED] = {.name = "upload_enlisted", .text = upload_enlisted},
	[SCRIPT_MOVE_GROUP] = {.name = "move_group", .text = move_group},
	[SCRIPT_MOVE_PUT_UPLOAD] = {.name = "move_put_upload", .text = move_put_upload},
	[SCRIPT_MOVE_PUT_MESSAGES] = {.name = "move_put_messages", .text = move_put_messages},
	[SCRIPT_ALL_PROBE] = {.name = "probe", .text = all_probe},
	[SCRIPT_ALL_COUNTS] = {.name = "counts", .text = all_counts},
	[SCRIPT_ALL_OPEN] = {.name = "open", .text = all_open},
	[SCRIPT_ALL_SCAN] = {.name = "scan", .text = all_scan},
	[SCRIPT_ALL_TIMES] = {.name = "times", .text = all_times},
	[SCRIPT_ALL_DUE] = {.name = "due", .text = all_due},
	[SCRIPT_ALL_UNFINISHED] = {.name = "unfinished", .text = all_unfinished},
	[SCRIPT_ALL_HEADS] = {.name = "heads", .text = all_heads},
	[SCRIPT_ALL_PARKED] = {.name = "parked", .text = all_parked},
};
