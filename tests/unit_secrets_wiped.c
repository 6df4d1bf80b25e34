/* SPDX-License-Identifier: Apache-2.0 */
/* After a call no secret of it is left in the memory of the process. */
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "tests/lib/http_server.h"
#include "tests/lib/memory_search.h"
#include "tests/lib/scratch.h"
#include "tests/lib/secret_calls.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
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

int main(int argc, char **argv)
{
	struct err err;
	(void)argc;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_call_leaves_a_secret),
		cmocka_unit_test(the_search_finds_what_is_left),
	};

	/*
	 * Where a library's functions are looked up when they are first called, the processor's
	 * registers are saved on the stack, with the last bytes that were copied.
	 */
	if (!getenv("LD_BIND_NOW")) {
		if (setenv("LD_BIND_NOW", "1", 1) == 0)
			(void)execv("/proc/self/exe", argv);
		return 1;
	}
	if (start_endpoints() < 0 || log_open("stderr", LOG_LEVEL_ERROR, LOG_LOGFMT, &err) < 0)
		return 1;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	stop_endpoints();
	return rc;
}
