/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that show a secret go to the host that was configured: no other is ever spoken to. */
#include "core/auth/auth.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "tests/lib/auth_world.h"
#include "tests/lib/http_server.h"
#include "tests/lib/scratch.h"
#include "tests/lib/secret_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
	struct http_server *home, *other;
	char *dir;
	size_t asked;   /* of home */
	size_t turn;    /* the request, from 0, that is answered with a redirect */
	int status;     /* of it; 0: none is */
	const char *to; /* the other's URL */
};

static void answer(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct world *w = arg;
	if (w->asked++ == w->turn && w->status != 0) {
		a->status = w->status;
		net_headers_add(&a->headers, "Location", w->to);
	} else {
		secret_calls_answer(NULL, q, a);
	}
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);
	w->home = http_server_start(answer, w);
	/* It would give what was asked for. */
	w->other = http_server_start(secret_calls_answer, NULL);
	w->to = http_server_url(w->other);
	w->dir = scratch_make();
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	http_server_stop(w->home);
	http_server_stop(w->other);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

static void answer_with(struct world *w, int status, size_t turn)
{
	http_server_set(w->home, NULL, NULL);
	w->asked = 0;
	w->status = status;
	w->turn = turn;
	http_server_set(w->home, answer, w);
}

static void expect_untold(const struct err *err)
{
	char secret[SECRET_SIZE];
	for (int s = 0; s < SECRETS; s++) {
		secret_make((enum secret)s, secret);
		assert_null(strstr(err->text, secret));
	}
}

static void no_redirect_is_followed(void **state)
{
	static const int statuses[] = {300, 301, 302, 303, 307, 308};
	struct world *w = *state;
	for (size_t i = 0; i < secret_calls_n; i++) {
		const struct secret_call *c = &secret_calls[i];
		for (size_t turn = 0; turn < c->requests; turn++) {
			for (size_t s = 0; s < sizeof statuses / sizeof statuses[0]; s++) {
				struct err err = {0};
				answer_with(w, statuses[s], turn);
				if (c->make(http_server_url(w->home), w->dir, &err) == 0)
					fail_msg("%s: %d is taken for an answer", c->name,
						statuses[s]);
				assert_int_equal(w->asked, turn + 1);
				expect_untold(&err);
			}
		}
	}
	assert_int_equal(http_server_connections(w->other), 0);
}

/* HTTP_PROXY is what a CGI server makes of a client's "Proxy:" header. */
static const char *const proxies[] = {
	"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"};
#define NPROXIES (sizeof proxies / sizeof proxies[0])

static void no_proxy_of_the_environment_is_used(void **state)
{
	struct world *w = *state;
	for (size_t i = 0; i < NPROXIES; i++)
		assert_int_equal(setenv(proxies[i], w->to, 1), 0);
	for (size_t i = 0; i < secret_calls_n; i++) {
		const struct secret_call *c = &secret_calls[i];
		struct err err = {0};
		answer_with(w, 0, 0);
		if (c->make(http_server_url(w->home), w->dir, &err) < 0)
			fail_msg("%s: %s", c->name, err.text);
		assert_int_equal(w->asked, c->requests);
	}
	for (size_t i = 0; i < NPROXIES; i++)
		assert_int_equal(unsetenv(proxies[i]), 0);
	assert_int_equal(http_server_connections(w->other), 0);
}

static void nor_for_the_issuers_keys(void **state)
{
	struct auth_world *w = *state;
	struct http_server *other = http_server_start(NULL, NULL);
	for (size_t i = 0; i < NPROXIES; i++)
		assert_int_equal(setenv(proxies[i], http_server_url(other), 1), 0);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	for (size_t i = 0; i < NPROXIES; i++)
		assert_int_equal(unsetenv(proxies[i]), 0);
	assert_int_equal(http_server_connections(other), 0);
	http_server_stop(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_redirect_is_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			no_proxy_of_the_environment_is_used, setup, teardown),
		cmocka_unit_test_setup_teardown(
			nor_for_the_issuers_keys, auth_world_setup, auth_world_teardown),
	};

	if (auth_world_begin() < 0)
		return 1;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	auth_world_end();
	return rc;
}
