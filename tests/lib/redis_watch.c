/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/redis_watch.h"

#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 7
#define MARK "end-of-watch"

struct redis_watch {
	const struct redis_server *server;
	redisContext *monitor;
};

static redisReply *next_line(struct redis_watch *w)
{
	void *reply = NULL;
	if (redisGetReply(w->monitor, &reply) != REDIS_OK)
		fail_msg("MONITOR: %s", w->monitor->errstr);
	return reply;
}

struct redis_watch *redis_watch_start(const struct redis_server *s)
{
	struct redis_watch *w = mem_zalloc(sizeof(*w));
	w->server = s;
	w->monitor = redis_server_connect(s);
	freeReplyObject(redisCommand(w->monitor, "MONITOR"));
	return w;
}

/* TIME [DB CLIENT] "WORD" "WORD" …: the first few words, each without its quotes. */
static size_t split(char *line, char *words[WORDS_MAX])
{
	size_t n = 0;
	for (char *at = strchr(line, '"'); at && n < WORDS_MAX; at = strchr(at, '"')) {
		words[n++] = ++at;
		at = strchr(at, '"');
		if (!at)
			break;
		*at++ = '\0';
	}
	return n;
}

static bool counts(char *const *words, size_t n)
{
	static const char *const others[] = {
		"PING", "AUTH", "SELECT", "SUBSCRIBE", "ECHO", "MONITOR"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(words[0], others[i]) == 0)
			return false;
	}
	/* Leases: the script's first argument is their time, not an upload's id. */
	bool script = strcmp(words[0], "EVALSHA") == 0 || strcmp(words[0], "EVAL") == 0;
	return !(n >= 6 && script && strcmp(words[2], "2") == 0 && strlen(words[5]) < 5);
}

int redis_watch_count(struct redis_watch *w, char *names, size_t size)
{
	int found = 0;
	size_t used = 0;
	if (names)
		names[0] = '\0';
	freeReplyObject(redis_server_command(w->server, "ECHO " MARK));
	for (bool end = false; !end;) {
		char *words[WORDS_MAX] = {0};
		redisReply *r = next_line(w);
		end = strstr(r->str, "\"" MARK "\"") != NULL;
		size_t n = strstr(r->str, " lua] ") ? 0 : split(r->str, words);
		if (n > 0 && counts(words, n)) {
			found++;
			if (names && used < size)
				used += (size_t)snprintf(
					names + used, size - used, "%s ", words[0]);
		}
		freeReplyObject(r);
	}
	return found;
}

void redis_watch_stop(struct redis_watch *w)
{
	redisFree(w->monitor);
	free(w);
}
