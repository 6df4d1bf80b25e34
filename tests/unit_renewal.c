/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/renewal.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_MS INT64_C(60000)
#define EARLY_MS (5 * MINUTE_MS)
#define FAR_MS (60 * MINUTE_MS)

/* Values are the numbers of the fetches. */
struct source {
	int fetches;
	int live;        /* values not dropped */
	int64_t left_ms; /* of a value's life; 0: never ends */
	bool fails;
	/* a fetch waits until `hold` is taken away */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool hold, held;
	struct renewal *reset; /* reset while fetching */
};

struct value {
	struct source *source;
	int number;
};

static void *fetch(void *arg, int64_t *expires_at, struct err *err)
{
	struct source *s = arg;
	pthread_mutex_lock(&s->lock);
	int number = ++s->fetches;
	s->held = true;
	pthread_cond_broadcast(&s->moved);
	while (s->hold)
		pthread_cond_wait(&s->moved, &s->lock);
	pthread_mutex_unlock(&s->lock);
	if (s->reset) {
		renewal_reset(s->reset);
		s->reset = NULL;
	}
	if (s->fails) {
		err_set(err, ERR_UNAVAILABLE, __func__, "fetch %d failed", number);
		return NULL;
	}
	struct value *v = mem_alloc(sizeof *v);
	*v = (struct value){s, number};
	s->live++;
	*expires_at = s->left_ms ? clock_now() + s->left_ms * CLOCK_US_PER_MS : 0;
	return v;
}

static void copy(const void *value, void *out)
{
	*(int *)out = ((const struct value *)value)->number;
}

static void drop(void *value)
{
	((struct value *)value)->source->live--;
	free(value);
}

static const struct renewal_ops ops = {fetch, copy, drop};

static void init(struct source *s)
{
	*s = (struct source){.left_ms = FAR_MS};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->moved, NULL);
}

static void finish(struct source *s, struct renewal *r)
{
	renewal_free(r);
	assert_int_equal(s->live, 0);
	pthread_cond_destroy(&s->moved);
	pthread_mutex_destroy(&s->lock);
}

static int get(struct renewal *r)
{
	int number = -1;
	struct err err = {0};
	if (renewal_get(r, &number, &err) < 0) {
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		return -1;
	}
	return number;
}

static void test_a_value_is_kept_until_shortly_before_its_end(void **state)
{
	static const struct {
		int64_t left_ms, pause_ms;
		int second; /* number of the value that the second call gets */
	} cases[] = {
		{0, 0, 1},
		{EARLY_MS + MINUTE_MS, 0, 1},
		{EARLY_MS - MINUTE_MS, 0, 2},
		/* all values end so early: not one fetch for each request */
		{EARLY_MS - MINUTE_MS, MINUTE_MS, 1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct source s;
		init(&s);
		s.left_ms = cases[i].left_ms;
		struct renewal *r =
			renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, cases[i].pause_ms});
		assert_int_equal(get(r), 1);
		assert_int_equal(get(r), cases[i].second);
		assert_int_equal(s.fetches, cases[i].second);
		finish(&s, r);
	}
}

static void test_an_old_value_does_while_fetching_fails(void **state)
{
	(void)state;
	struct source s;
	init(&s);
	s.left_ms = MINUTE_MS;
	struct renewal *r = renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, 0});
	assert_int_equal(get(r), 1);
	s.fails = true;
	assert_int_equal(get(r), 1);
	assert_int_equal(s.fetches, 2);
	s.fails = false;
	assert_int_equal(get(r), 3);
	finish(&s, r);
}

static void test_a_failure_is_remembered(void **state)
{
	(void)state;
	struct source s;
	struct err err = {0};
	int number = -1;
	init(&s);
	s.fails = true;
	struct renewal *r = renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, FAR_MS});
	assert_int_equal(get(r), -1);
	assert_int_equal(renewal_get(r, &number, &err), -1);
	assert_string_equal(err.text, "fetch 1 failed");
	assert_int_equal(s.fetches, 1);
	finish(&s, r);

	init(&s);
	s.fails = true;
	r = renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, 0});
	assert_int_equal(get(r), -1);
	s.fails = false;
	assert_int_equal(get(r), 2);
	finish(&s, r);
}

static void test_what_has_ended_already_is_an_error(void **state)
{
	(void)state;
	struct source s;
	init(&s);
	s.left_ms = -1;
	struct renewal *r = renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, FAR_MS});
	assert_int_equal(get(r), -1);
	assert_int_equal(s.fetches, 1);
	finish(&s, r);
}

static void test_a_refused_value_is_fetched_again_but_not_for_ever(void **state)
{
	(void)state;
	struct source s;
	init(&s);
	struct renewal *r = renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, 0});
	assert_false(renewal_refused(r));
	assert_int_equal(get(r), 1);
	assert_true(renewal_refused(r));
	assert_int_equal(get(r), 2);
	assert_int_equal(get(r), 2);
	/* the service does not answer: the old one goes on */
	assert_true(renewal_refused(r));
	s.fails = true;
	assert_int_equal(get(r), 2);
	assert_int_equal(get(r), 2);
	assert_int_equal(s.fetches, 3);
	finish(&s, r);

	init(&s);
	r = renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, FAR_MS});
	assert_int_equal(get(r), 1);
	assert_false(renewal_refused(r));
	assert_int_equal(get(r), 1);
	finish(&s, r);
}

static void test_reset_forgets_value_and_failure(void **state)
{
	(void)state;
	struct source s;
	init(&s);
	struct renewal *r = renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, FAR_MS});
	assert_int_equal(get(r), 1);
	renewal_reset(r);
	s.fails = true;
	assert_int_equal(get(r), -1);
	renewal_reset(r);
	s.fails = false;
	assert_int_equal(get(r), 3);
	/* what was on its way when it was reset does not count */
	renewal_reset(r);
	s.reset = r;
	assert_int_equal(get(r), 5);
	finish(&s, r);
}

struct getter {
	struct renewal *r;
	int number;
};

static void *run_getter(void *arg)
{
	struct getter *g = arg;
	g->number = get(g->r);
	return NULL;
}

static void wait_held(struct source *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->held)
		pthread_cond_wait(&s->moved, &s->lock);
	s->held = false;
	pthread_mutex_unlock(&s->lock);
}

static void set_hold(struct source *s, bool hold)
{
	pthread_mutex_lock(&s->lock);
	s->hold = hold;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static void test_one_thread_fetches_the_others_go_on(void **state)
{
	(void)state;
	struct source s;
	pthread_t first, second;
	init(&s);
	s.left_ms = MINUTE_MS;
	struct renewal *r = renewal_new(&ops, &s, &(struct renewal_times){EARLY_MS, 0});
	struct getter a = {r, 0};
	struct getter b = {r, 0};
	assert_int_equal(get(r), 1);
	s.held = false;
	set_hold(&s, true);
	assert_int_equal(pthread_create(&first, NULL, run_getter, &a), 0);
	wait_held(&s);
	assert_int_equal(get(r), 1);
	set_hold(&s, false);
	assert_int_equal(pthread_join(first, NULL), 0);
	assert_int_equal(a.number, 2);

	/* without a value they wait for that one fetch */
	s.left_ms = FAR_MS;
	renewal_reset(r);
	s.held = false;
	set_hold(&s, true);
	assert_int_equal(pthread_create(&first, NULL, run_getter, &a), 0);
	wait_held(&s);
	assert_int_equal(pthread_create(&second, NULL, run_getter, &b), 0);
	set_hold(&s, false);
	assert_int_equal(pthread_join(first, NULL), 0);
	assert_int_equal(pthread_join(second, NULL), 0);
	assert_int_equal(a.number, 3);
	assert_int_equal(b.number, 3);
	assert_int_equal(s.fetches, 3);
	finish(&s, r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_value_is_kept_until_shortly_before_its_end),
		cmocka_unit_test(test_an_old_value_does_while_fetching_fails),
		cmocka_unit_test(test_a_failure_is_remembered),
		cmocka_unit_test(test_what_has_ended_already_is_an_error),
		cmocka_unit_test(test_a_refused_value_is_fetched_again_but_not_for_ever),
		cmocka_unit_test(test_reset_forgets_value_and_failure),
		cmocka_unit_test(test_one_thread_fetches_the_others_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
