/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/session.h"

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "tests/lib/login_world.h"
#include "tests/lib/state_kv.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY "a secret of thirty-two bytes, at least"
#define MINUTE (60 * CLOCK_US_PER_S)

static struct sessions *sessions;
static char id[SESSION_ID_SIZE];

static int setup(void **state)
{
	if (login_world_setup(state) < 0)
		return -1;
	struct login_world *w = *state;
	sessions = sessions_new(KEY, w->client, w->state);
	return 0;
}

static int teardown(void **state)
{
	sessions_free(sessions);
	return login_world_teardown(state);
}

/* A session whose access token "old" ends in ${left} microseconds. */
static void begin(struct login_world *w, int64_t left, bool renewable)
{
	char access[] = "old", refresh[] = "again", id_token[] = "id", sub[] = "me", name[] = "Me";
	const struct oidc_tokens t = {.access_token = access,
		.refresh_token = renewable ? refresh : NULL,
		.id_token = id_token,
		.subject = sub,
		.name = name,
		.expires_at = left ? clock_now() + left : 0};
	assert_int_equal(session_begin(sessions, &t, id, &w->err), 0);
}

/* What is found; with STATE_OK the access token is ${token}. */
static enum state_result find(struct login_world *w, const char *token)
{
	struct session s;
	enum state_result r = session_find(sessions, id, &s, &w->err);
	if (r == STATE_OK)
		assert_string_equal(s.tokens.access_token, token);
	else if (s.tokens.access_token || s.tokens.id_token)
		fail_msg("%d", r);
	session_free(&s);
	return r;
}

static void a_session_is_found_by_its_id_alone(void **state)
{
	struct login_world *w = *state;
	struct session s;
	int64_t expires_at;
	begin(w, MINUTE, false);
	assert_true(session_is_id(id));
	assert_int_equal(session_find(sessions, id, &s, &w->err), STATE_OK);
	assert_string_equal(s.tokens.access_token, "old");
	assert_null(s.tokens.refresh_token);
	assert_string_equal(s.tokens.id_token, "id");
	assert_string_equal(s.tokens.subject, "me");
	assert_string_equal(s.tokens.name, "Me");
	assert_int_equal(state_kv_count(w->state, "session/", &expires_at), 1);
	assert_int_equal(expires_at, s.tokens.expires_at);
	session_free(&s);
	/* Who reads the store gets neither. */
	assert_false(state_kv_has(w->state, id));
	assert_false(state_kv_has(w->state, "old"));
	id[0] ^= 1;
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
}

static void forms_of_ids(void **state)
{
	(void)state;
	assert_true(session_is_id("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	assert_false(session_is_id(""));
	assert_false(session_is_id("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	assert_false(session_is_id("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	assert_false(session_is_id("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/"));
	assert_false(session_is_id("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB")); /* stray bits */
}

static void name_of(char out[96])
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	digest_sha256(id, strlen(id), sum);
	(void)str_copy(out, 96, "session/");
	str_hex(out + strlen(out), sum, sizeof sum);
}

/* Who may write to the store cannot give one person's tokens to another. */
static void values_cannot_change_places(void **state)
{
	struct login_world *w = *state;
	char from[96], to[96];
	struct buf value;
	buf_init(&value, 8192);
	begin(w, MINUTE, false);
	name_of(from);
	assert_int_equal(state_kv_get(w->state, from, clock_now(), &value, NULL), STATE_OK);
	begin(w, MINUTE, false);
	name_of(to);
	assert_string_not_equal(from, to);
	assert_int_equal(find(w, "old"), STATE_OK);
	assert_int_equal(state_kv_set(w->state, to, value.data, value.len, 0, NULL), 0);
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
	buf_free(&value);
}

static void another_key_opens_nothing(void **state)
{
	struct login_world *w = *state;
	struct sessions *other =
		sessions_new("another secret of thirty-two bytes at least", w->client, w->state);
	struct session s;
	begin(w, MINUTE, false);
	assert_int_equal(session_find(other, id, &s, &w->err), STATE_NOT_FOUND);
	sessions_free(other);
}

static void it_ends_with_its_token(void **state)
{
	struct login_world *w = *state;
	begin(w, -CLOCK_US_PER_S, false);
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
	begin(w, 0, false); /* the issuer did not say how long */
	assert_int_equal(find(w, "old"), STATE_OK);
	assert_int_equal(login_world_asked(w, "/token", NULL), 0);
}

static void an_end_is_an_end(void **state)
{
	struct login_world *w = *state;
	begin(w, MINUTE, true);
	assert_int_equal(session_end(sessions, id, &w->err), 0);
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
	assert_int_equal(session_end(sessions, id, &w->err), 0);
}

#define RENEWED "{\"access_token\":\"new\",\"token_type\":\"Bearer\",\"expires_in\":600}"

static void it_is_renewed_in_time(void **state)
{
	struct login_world *w = *state;
	w->answer = RENEWED;
	begin(w, 31 * CLOCK_US_PER_S + MINUTE, true);
	assert_int_equal(find(w, "old"), STATE_OK);
	begin(w, 29 * CLOCK_US_PER_S, true);
	assert_int_equal(find(w, "new"), STATE_OK);
	begin(w, -CLOCK_US_PER_S, true);
	assert_int_equal(find(w, "new"), STATE_OK);
	assert_int_equal(find(w, "new"), STATE_OK);
	assert_int_equal(login_world_asked(w, "/token", NULL), 2);
}

static void *look(void *arg)
{
	return (void *)(intptr_t)find(arg, "new");
}

static void one_of_many_renews_it(void **state)
{
	struct login_world *w = *state;
	pthread_t threads[8];
	w->answer = RENEWED;
	begin(w, -CLOCK_US_PER_S, true);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look, w), 0);
	for (size_t i = 0; i < 8; i++) {
		void *found;
		pthread_join(threads[i], &found);
		assert_int_equal((intptr_t)found, STATE_OK);
	}
	assert_int_equal(login_world_asked(w, "/token", NULL), 1);
}

static void the_issuer_may_end_it(void **state)
{
	struct login_world *w = *state;
	w->status = 400;
	w->answer = "{\"error\":\"invalid_grant\"}";
	begin(w, 20 * CLOCK_US_PER_S, true);
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
	assert_int_equal(login_world_asked(w, "/token", NULL), 1);
}

static void an_issuer_that_is_down_ends_nothing(void **state)
{
	struct login_world *w = *state;
	w->status = 503;
	begin(w, 20 * CLOCK_US_PER_S, true);
	assert_int_equal(find(w, "old"), STATE_OK);
	assert_int_equal(find(w, "old"), STATE_OK); /* not asked again at once */
	assert_int_equal(login_world_asked(w, "/token", NULL), 1);
	begin(w, -CLOCK_US_PER_S, true);
	assert_int_equal(find(w, ""), STATE_ERROR);
	w->status = 0;
	w->answer = RENEWED;
	state_kv_forget(w->state, "session/renew/");
	assert_int_equal(find(w, "new"), STATE_OK);
}

static void end_it(void *arg)
{
	struct login_world *w = arg;
	struct err err;
	if (session_end(sessions, id, &err) < 0)
		abort();
	w->on_token = NULL;
}

/* The logout comes to another host while this one waits for the issuer. */
static void a_renewal_does_not_bring_it_back(void **state)
{
	struct login_world *w = *state;
	w->answer = RENEWED;
	w->on_token = end_it;
	w->on_token_arg = w;
	begin(w, -CLOCK_US_PER_S, true);
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
	assert_null(w->on_token);
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
	state_kv_forget(w->state, "session/renew/");
	assert_int_equal(find(w, ""), STATE_NOT_FOUND);
}

static void without_the_store_it_cannot_be_told(void **state)
{
	struct login_world *w = *state;
	struct session s;
	begin(w, MINUTE, false);
	state_kv_away(w->state, true);
	assert_int_equal(session_find(sessions, id, &s, &w->err), STATE_ERROR);
	assert_int_equal(session_end(sessions, id, &w->err), -1);
	state_kv_away(w->state, false);
	assert_int_equal(find(w, "old"), STATE_OK);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_of_ids),
		T(a_session_is_found_by_its_id_alone),
		T(values_cannot_change_places),
		T(another_key_opens_nothing),
		T(it_ends_with_its_token),
		T(an_end_is_an_end),
		T(it_is_renewed_in_time),
		T(one_of_many_renews_it),
		T(the_issuer_may_end_it),
		T(an_issuer_that_is_down_ends_nothing),
		T(a_renewal_does_not_bring_it_back),
		T(without_the_store_it_cannot_be_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
