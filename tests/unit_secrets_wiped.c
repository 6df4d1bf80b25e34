/* SPDX-License-Identifier: Apache-2.0 */
/* After a call no secret of it is left in the memory of the process. */
#include "backends/redis.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/net/azure_auth.h"
#include "core/net/sigv4.h"
#include "tests/lib/config_world.h"
#include "tests/lib/http_server.h"
#include "tests/lib/memory_search.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/scratch.h"
#include "tests/lib/secret_calls.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PART ((size_t)24)

/* The end points are another process: what they say stays in their memory. */
static struct {
	pid_t pid;
	int until; /* closed: it ends */
	char url[64];
} endpoints;

static _Noreturn void serve(int url_fd, int until_fd)
{
	char c;
	struct http_server *s = http_server_start(secret_calls_answer, NULL);
	const char *url = http_server_url(s);
	if (write(url_fd, url, strlen(url) + 1) < 0)
		_exit(1);
	(void)!read(until_fd, &c, 1);
	_exit(0);
}

static int start_endpoints(void)
{
	int url[2], until[2];
	if (pipe(url) < 0 || pipe(until) < 0)
		return -1;
	endpoints.pid = fork();
	if (endpoints.pid == 0) {
		close(until[1]);
		serve(url[1], until[0]);
	}
	close(url[1]);
	close(until[0]);
	endpoints.until = until[1];
	ssize_t n = read(url[0], endpoints.url, sizeof endpoints.url);
	close(url[0]);
	return endpoints.pid > 0 && n > 0 ? 0 : -1;
}

static void stop_endpoints(void)
{
	close(endpoints.until);
	(void)waitpid(endpoints.pid, NULL, 0);
}

/*
 * Half of it would be too much. Not its first bytes, though: malloc puts what it has to know of a
 * freed block there.
 */
static size_t find(enum secret s, char where[160])
{
	static const size_t places[] = {16, 100, SECRET_SIZE - 1 - PART};
	char *room = memory_search_room();
	size_t most = 0;
	secret_make(s, room);
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		size_t found = memory_search(room + places[i], PART, where);
		most = found > most ? found : most;
	}
	memset(room, 0, SECRET_SIZE);
	return most;
}

/* --- that it would be found --- */

static void *plant(void *arg)
{
	volatile char word[SECRET_SIZE];
	char where[160];
	secret_make(SECRET_BEARER, (char *)word);
	*(size_t *)arg = find(SECRET_BEARER, where);
	mem_wipe((char *)word, sizeof word);
	return NULL;
}

static void the_search_finds_what_is_left(void **state)
{
	static char variable[SECRET_SIZE];
	char where[160] = "";
	size_t in_thread = 0;
	pthread_t thread;
	(void)state;
	assert_int_equal(find(SECRET_BEARER, where), 0);
	char *block = mem_alloc(SECRET_SIZE);
	secret_make(SECRET_BEARER, block);
	assert_int_equal(find(SECRET_BEARER, where), 1);
	secret_make(SECRET_BEARER, variable);
	assert_int_equal(find(SECRET_BEARER, where), 2);
	assert_int_equal(pthread_create(&thread, NULL, plant, &in_thread), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(in_thread, 3);
	mem_wipe(variable, sizeof variable);
	free(block);
	/* Not wiped, and free: who gets the block next can read it. */
	assert_int_equal(find(SECRET_BEARER, where), 1);
	assert_int_equal(find(SECRET_CLIENT, where), 0);
}

/* --- that nothing is left --- */

static void no_call_leaves_a_secret(void **state)
{
	char *dir = scratch_make();
	char where[160] = "";
	size_t left = 0;
	(void)state;
	for (size_t i = 0; i < secret_calls_n; i++) {
		struct err err = {0};
		if (secret_calls[i].make(endpoints.url, dir, &err) < 0)
			fail_msg("%s: %s", secret_calls[i].name, err.text);
		for (int s = 0; s < SECRETS; s++) {
			size_t n = find((enum secret)s, where);
			left += n;
			if (n > 0)
				print_error("%s leaves secret %d %zu times, %s\n",
					secret_calls[i].name, s, n, where);
		}
	}
	scratch_remove(dir);
	assert_int_equal(left, 0);
}

/* Held as long as the configuration is, and no longer. */
static void freed_settings_leave_no_secret(void **state)
{
	static const struct {
		const char *name;
		enum secret secret;
	} settings[] = {
		{"CSRF_TOKEN", SECRET_BEARER},
		{"OAUTH_INTROSPECTION_CLIENT_SECRET", SECRET_CLIENT},
		{"AWS_SECRET_ACCESS_KEY", SECRET_AWS_KEY},
		{"AWS_SESSION_TOKEN", SECRET_AWS_SESSION},
		{"AZURE_CLIENT_SECRET", SECRET_AZURE_TOKEN},
	};
	struct config_world *w = *state;
	struct err err = {0};
	struct buf text;
	char where[160] = "", word[SECRET_SIZE];
	buf_init_secret(&text, 8192);
	(void)buf_add_str(&text, "OAUTH_INTROSPECTION_CLIENT_ID=client\n");
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
		secret_make(settings[i].secret, word);
		(void)buf_add_str(&text, settings[i].name);
		(void)buf_add_char(&text, '=');
		(void)buf_add_str(&text, word);
		(void)buf_add_char(&text, '\n');
	}
	mem_wipe(word, sizeof word);
	assert_int_equal(fsio_replace("secrets.env", buf_str(&text), text.len, false, &err), 0);
	buf_free(&text);
	if (config_world_run(w, "secrets.env") < 0)
		fail_msg("%s", buf_str(&w->problems));
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		assert_true(find(settings[i].secret, where) > 0);
	config_free(w->config);
	w->config = NULL;
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
		if (find(settings[i].secret, where) > 0)
			fail_msg("%s is left %s", settings[i].name, where);
	}
}

static void signing_leaves_no_key(void **state)
{
	char word[SECRET_SIZE], where[160] = "";
	struct err err = {0};
	struct net_request r;
	(void)state;
	net_request_init(&r, "GET", "https://a.example/c/b");
	secret_make(SECRET_AWS_KEY, word);
	const struct sigv4_keys keys = {"id", word, NULL};
	assert_int_equal(
		sigv4_sign("GET", "a.example", "/c/b", NULL, &r.headers, "UNSIGNED-PAYLOAD", &keys,
			&(const struct sigv4_scope){"r", "s3"}, clock_now(), &err),
		0);
	mem_wipe(word, sizeof word);
	assert_int_equal(find(SECRET_AWS_KEY, where), 0);

	secret_make(SECRET_CLIENT, word);
	word[88] = '\0'; /* a key's length; letters and digits are Base64, too */
	struct azure_auth *a = azure_auth_new(
		&(const struct azure_auth_options){.account = "a", .key = word}, NULL, &err);
	mem_wipe(word, sizeof word);
	if (!a || azure_auth_sign(a, &r, clock_now(), &err) < 0)
		fail_msg("%s", err.text);
	azure_auth_free(a);
	assert_int_equal(find(SECRET_CLIENT, where), 0);

	char sas[SECRET_SIZE + 32] = "sv=2021-12-02&sig=";
	secret_make(SECRET_BEARER, sas + strlen(sas));
	a = azure_auth_new(
		&(const struct azure_auth_options){.account = "a", .sas_token = sas}, NULL, &err);
	mem_wipe(sas, sizeof sas);
	if (!a || azure_auth_sign(a, &r, clock_now(), &err) < 0)
		fail_msg("%s", err.text);
	azure_auth_free(a);
	net_request_free(&r);
	assert_int_equal(find(SECRET_BEARER, where), 0);
}

/* The server wants none, and says so: that it was sent is what matters here. */
static void redis_leaves_no_password(void **state)
{
	char where[160] = "", url[SECRET_SIZE + 64], word[SECRET_SIZE];
	const struct redis_arg ping = redis_arg_str("PING");
	struct redis_server server = {0};
	struct err err = {0};
	redisReply *reply = NULL;
	(void)state;
	if (!redis_server_present())
		skip();
	redis_server_start(&server, NULL);
	secret_make(SECRET_CLIENT, word);
	(void)snprintf(url, sizeof url, "redis://:%s@127.0.0.1:%u", word, server.port);
	mem_wipe(word, sizeof word);
	struct redis *r = redis_open(url, &err);
	mem_wipe(url, sizeof url);
	assert_non_null(r);
	assert_int_not_equal(redis_command(r, NULL, &ping, 1, false, &reply, &err), REDIS_DONE);
	assert_int_equal(err.code, ERR_DENIED);
	redis_close(r);
	redis_server_remove(&server);
	if (find(SECRET_CLIENT, where) > 0)
		fail_msg("the password is left %s", where);
}

int main(int argc, char **argv)
{
	struct err err;
	(void)argc;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_call_leaves_a_secret),
		cmocka_unit_test_setup_teardown(
			freed_settings_leave_no_secret, config_world_setup, config_world_teardown),
		cmocka_unit_test(signing_leaves_no_key),
		cmocka_unit_test(redis_leaves_no_password),
		cmocka_unit_test(the_search_finds_what_is_left),
	};

	/*
	 * Where a library's functions are looked up when they are first called, the processor's
	 * registers are saved on the stack, with the last bytes that were copied.
	 */
	if (!getenv("LD_BIND_NOW")) {
		if (setenv("LD_BIND_NOW", "1", 1) == 0)
			(void)execv(argv[0], argv);
		return 1;
	}
	if (start_endpoints() < 0 || log_open("stderr", LOG_LEVEL_ERROR, LOG_LOGFMT, &err) < 0)
		return 1;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	stop_endpoints();
	return rc;
}
