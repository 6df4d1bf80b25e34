/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/notify.h"
#include "core/store/publish.h"
#include "core/store/publish_impl.h"
#include "tests/lib/dex_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_A "11111111-1111-4111-8111-111111111111"
#define ID_B "22222222-2222-4222-8222-222222222222"

/* A sink that remembers what it was sent, one line a message, and fails on purpose. */
struct double_sink {
	struct publisher base;
	struct buf seen;
	bool repeat;        /* of the last one */
	const char *bad;    /* messages that contain this fail */
	const char *poison; /* those are refused */
	size_t calls;       /* one by one */
	size_t most;        /* at once, where it can */
};

static struct publisher *double_open(const struct publish_place *place, struct err *err)
{
	(void)place;
	(void)err;
	struct double_sink *s = mem_zalloc(sizeof(*s));
	buf_init(&s->seen, 1 << 20);
	return &s->base;
}

static void double_close(struct publisher *p)
{
	struct double_sink *s = (struct double_sink *)p;
	buf_free(&s->seen);
	free(s);
}

static int double_send(
	struct publisher *p, const struct publish_message *m, bool repeat, struct err *err)
{
	struct double_sink *s = (struct double_sink *)p;
	s->calls++;
	s->repeat = repeat;
	if (s->bad && strstr(m->data, s->bad))
		return err_set(err, ERR_UNAVAILABLE, __func__, "down");
	if (s->poison && strstr(m->data, s->poison))
		return err_set(err, ERR_TOO_LARGE, __func__, "413 too large");
	(void)buf_add(&s->seen, m->data, m->len);
	return buf_add_char(&s->seen, '\n');
}

static const struct publish_backend remote_backend = {
	.type = "remote",
	.open = double_open,
	.close = double_close,
	.send = double_send,
};
static int double_send_many(struct publisher *p, const struct publish_message *m, size_t n,
	size_t *sent, struct err *err)
{
	struct double_sink *s = (struct double_sink *)p;
	n = n < s->most ? n : s->most;
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(m[i].upload_id, m[0].upload_id);
		if (strstr(m[i].data, s->poison))
			return err_set(err, ERR_INVALID, __func__, "400 one of them");
	}
	for (size_t i = 0; i < n; i++) {
		(void)buf_add(&s->seen, m[i].data, m[i].len);
		(void)buf_add_char(&s->seen, '\n');
	}
	*sent = n;
	return 0;
}

static const struct publish_backend many_backend = {
	.type = "many",
	.open = double_open,
	.close = double_close,
	.send = double_send,
	.send_many = double_send_many,
};
static const struct publish_backend local_backend = {
	.type = "local",
	.local = true,
	.open = double_open,
	.close = double_close,
	.send = double_send,
};

struct fixture {
	struct dex_world *w;
	struct notify n;
	struct double_sink *local;  /* reports */
	struct double_sink *remote; /* reports */
	struct double_sink *bus;    /* events */
	struct err err;
};

static struct double_sink *add_sink(
	struct notify *n, const struct publish_backend *b, const char *name, enum notify_kind kind)
{
	struct publisher *p = publish_open(b, name, &(struct publish_place){.where = ""}, NULL);
	n->sinks[n->n++] = (struct notify_sink){.kind = kind, .publisher = p};
	return (struct double_sink *)p;
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	f->w = dex_world_new(NULL);
	f->local = add_sink(&f->n, &local_backend, "local", NOTIFY_REPORT);
	f->remote = add_sink(&f->n, &remote_backend, "remote", NOTIFY_REPORT);
	f->bus = add_sink(&f->n, &remote_backend, "bus", NOTIFY_EVENT);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	notify_close(&f->n);
	dex_world_free(f->w);
	free(f);
	return 0;
}

static void add(
	struct notify_batch *b, enum notify_kind kind, const char *id, const char *text, bool keep)
{
	struct buf json;
	buf_init(&json, 1024);
	(void)buf_printf(&json, "{\"m\":\"%s\"}", text);
	notify_batch_add(b, kind, id, kind == NOTIFY_EVENT ? "FileReady" : "upload-status", false,
		keep, &json);
	assert_int_equal(json.len, 0);
	buf_free(&json);
}

/* Messages into the outbox as a transaction would put them there, due since ${age_s}. */
static void queue(struct fixture *f, const char *id, const char *text, int64_t age_s)
{
	struct notify_batch b;
	notify_batch_init(&b, &f->n);
	add(&b, NOTIFY_REPORT, id, text, true);
	struct outbox_list rows = notify_batch_rows(&b, clock_now() - age_s * CLOCK_US_PER_S);
	assert_int_equal(state_outbox_add(f->w->app.state, &rows, &f->err), 0);
	notify_batch_free(&b);
}

static void flush(struct fixture *f, size_t want_sent, size_t want_failed)
{
	size_t sent, failed;
	assert_int_equal(
		notify_flush(&f->n, f->w->app.state, NULL, NULL, &sent, &failed, &f->err), 0);
	assert_int_equal(sent, want_sent);
	assert_int_equal(failed, want_failed);
}

static void test_rows_are_for_what_must_survive(void **state)
{
	static const struct {
		enum notify_kind kind;
		bool keep;
		size_t rows;
		const char *first; /* sink of the first row */
		int64_t delay_s;   /* of the first row */
	} cases[] = {
		{NOTIFY_REPORT, true, 2, "local", 60},
		{NOTIFY_REPORT, false, 1, "remote", 0},
		{NOTIFY_EVENT, true, 1, "bus", 0},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct notify_batch b;
		notify_batch_init(&b, &f->n);
		add(&b, cases[i].kind, ID_A, "x", cases[i].keep);
		struct outbox_list rows = notify_batch_rows(&b, 1000);
		assert_int_equal(rows.n, cases[i].rows);
		assert_string_equal(rows.items[0].sink, cases[i].first);
		assert_string_equal(rows.items[0].upload_id, ID_A);
		assert_string_equal(rows.items[0].data, "{\"m\":\"x\"}");
		assert_int_equal(rows.items[0].due_at, 1000 + cases[i].delay_s * CLOCK_US_PER_S);
		notify_batch_free(&b);
	}
}

static void test_send_local_writes_local_sinks_only(void **state)
{
	struct fixture *f = *state;
	struct notify_batch b;
	notify_batch_init(&b, &f->n);
	for (int i = 0; i < 20; i++)
		add(&b, NOTIFY_REPORT, ID_A, "x", false);
	add(&b, NOTIFY_EVENT, ID_A, "e", true);
	notify_batch_send_local(&b);
	notify_batch_free(&b);
	assert_int_equal(f->local->calls, 20);
	assert_false(f->local->repeat);
	assert_int_equal(f->remote->calls, 0);
	assert_int_equal(f->bus->calls, 0);
}

static void test_flush_sends_what_is_due_in_order(void **state)
{
	struct fixture *f = *state;
	queue(f, ID_A, "a1", 1);
	queue(f, ID_B, "b1", 1);
	queue(f, ID_A, "a2", 1);
	/* the local rows have a minute of grace */
	flush(f, 3, 0);
	const char *seen = buf_str(&f->remote->seen);
	assert_true(strstr(seen, "a1") < strstr(seen, "a2"));
	assert_non_null(strstr(seen, "b1"));
	assert_true(f->remote->repeat);
	assert_int_equal(f->local->calls, 0);
	flush(f, 0, 0);
	assert_int_equal(f->remote->calls, 3);
}

static int count_due(void *arg, const struct outbox_message *m)
{
	(void)m;
	(*(size_t *)arg)++;
	return 0;
}

/* The sink goes away in the middle of a batch: what was not come to does not wait for a lease. */
static void test_rest_of_a_batch_is_due_soon(void **state)
{
	struct fixture *f = *state;
	size_t due = 0;
	for (int i = 0; i < 20; i++) {
		char id[UUID_SIZE];
		random_uuid(id);
		queue(f, id, i < 5 ? "x" : "y", 55 - i);
		queue(f, id, "x", 30);
	}
	f->remote->bad = "y";
	flush(f, 10, 3);
	assert_int_equal(
		state_outbox_take(f->w->app.state, "remote", clock_now() + 6 * CLOCK_US_PER_S, 1000,
			64, count_due, &due, &f->err),
		0);
	assert_int_equal(due, 30);
}

/* Messages of one upload leave together, where the sink can; one that is refused goes alone. */
static void test_messages_of_an_upload_leave_together(void **state)
{
	struct fixture *f = *state;
	char a[UUID_SIZE], b[UUID_SIZE];
	random_uuid(a);
	random_uuid(b);
	struct double_sink *many = add_sink(&f->n, &many_backend, "many", NOTIFY_REPORT);
	f->n.max_retry = 0;
	queue(f, a, "first", 55);
	for (int i = 0; i < 5; i++) {
		queue(f, a, i == 3 ? "bad" : "a", 50 - i);
		queue(f, b, "b", 50 - i);
	}
	many->poison = "bad";
	many->most = 3;
	flush(f, 21, 1);
	assert_string_equal(buf_str(&many->seen),
		"{\"m\":\"first\"}\n{\"m\":\"a\"}\n{\"m\":\"a\"}\n{\"m\":\"a\"}\n"
		"{\"m\":\"b\"}\n{\"m\":\"b\"}\n{\"m\":\"b\"}\n{\"m\":\"b\"}\n"
		"{\"m\":\"b\"}\n{\"m\":\"a\"}\n");
	assert_int_equal(many->calls, 3); /* the first one, the bad one, the one behind it */
}

static void test_flush_finds_local_rows_after_their_grace(void **state)
{
	struct fixture *f = *state;
	queue(f, ID_A, "a1", 61);
	flush(f, 2, 0);
	assert_string_equal(buf_str(&f->local->seen), "{\"m\":\"a1\"}\n");
	assert_true(f->local->repeat);
}

static void test_failure_holds_back_later_messages_of_that_upload_only(void **state)
{
	struct fixture *f = *state;
	f->remote->bad = "a1";
	queue(f, ID_A, "a1", 1);
	queue(f, ID_A, "a2", 1);
	queue(f, ID_B, "b1", 1);
	flush(f, 1, 1);
	assert_string_equal(buf_str(&f->remote->seen), "{\"m\":\"b1\"}\n");
	/* put off: not tried again at once, and nothing overtakes it */
	f->remote->bad = NULL;
	flush(f, 0, 0);
	assert_int_equal(f->remote->calls, 2);
}

struct taken {
	char texts[8][32];
	int attempts[8];
	int64_t ids[8];
	size_t n;
};

static int take(void *arg, const struct outbox_message *m)
{
	struct taken *t = arg;
	str_copy(t->texts[t->n], sizeof(t->texts[0]), m->data);
	t->ids[t->n] = m->id;
	t->attempts[t->n++] = m->attempt;
	return 0;
}

static void test_failed_message_comes_back_first_after_its_pause(void **state)
{
	static const struct {
		int64_t after_ms;
		size_t n;
	} looks[] = {{4000, 0}, {600000, 2}};
	struct fixture *f = *state;
	f->remote->bad = "a1";
	queue(f, ID_A, "a1", 1);
	queue(f, ID_A, "a2", 1);
	int64_t now = clock_now();
	flush(f, 0, 1);
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		struct taken t = {0};
		assert_int_equal(
			state_outbox_take(f->w->app.state, "remote",
				now + looks[i].after_ms * CLOCK_US_PER_MS, 1, 8, take, &t, &f->err),
			0);
		assert_int_equal(t.n, looks[i].n);
		if (t.n > 0) {
			assert_string_equal(t.texts[0], "{\"m\":\"a1\"}");
			assert_int_equal(t.attempts[0], 1);
			assert_string_equal(t.texts[1], "{\"m\":\"a2\"}");
		}
	}
}

static void test_sink_that_is_down_is_left_alone_after_a_few(void **state)
{
	struct fixture *f = *state;
	f->remote->bad = "m";
	for (int i = 0; i < 40; i++) {
		char id[UUID_SIZE];
		random_uuid(id);
		queue(f, id, "x", 1);
	}
	flush(f, 0, 3);
	assert_int_equal(f->remote->calls, 3);
}

struct parked {
	char text[256];
	size_t n;
};

static int see_parked(void *arg, const struct outbox_message *m)
{
	struct parked *p = arg;
	snprintf(p->text, sizeof(p->text), "%s %d %s", m->data, m->attempt, m->reason);
	p->n++;
	return 0;
}

static struct parked parked(struct fixture *f)
{
	struct parked p = {0};
	assert_int_equal(state_outbox_parked(f->w->app.state, NULL, see_parked, &p, &f->err), 0);
	return p;
}

static void test_refused_message_is_parked_and_the_next_one_goes(void **state)
{
	struct fixture *f = *state;
	f->remote->poison = "a1";
	queue(f, ID_A, "a1", 1);
	queue(f, ID_A, "a2", 1);
	flush(f, 1, 1);
	assert_int_equal(parked(f).n, 1);
	assert_string_equal(parked(f).text, "{\"m\":\"a1\"} 1 remote: 413 too large");
	assert_string_equal(buf_str(&f->remote->seen), "{\"m\":\"a2\"}\n");
}

static void test_refused_message_has_its_repeats(void **state)
{
	struct fixture *f = *state;
	struct taken t = {0};
	f->n.max_retry = 2;
	f->remote->poison = "a1";
	queue(f, ID_A, "a1", 1);
	flush(f, 0, 1);
	/* put off: its pause is not over */
	flush(f, 0, 0);
	assert_int_equal(f->remote->calls, 1);
	assert_int_equal(parked(f).n, 0);
	assert_int_equal(state_outbox_take(f->w->app.state, "remote",
				 clock_now() + 600 * CLOCK_US_PER_S, 1, 8, take, &t, &f->err),
		0);
	assert_int_equal(t.attempts[0], 1);
	/* which counts as the second try */
	assert_int_equal(state_outbox_retry(f->w->app.state, t.ids[0], clock_now(), &f->err), 0);
	flush(f, 0, 1);
	assert_int_equal(parked(f).n, 1);
	assert_int_equal(f->remote->calls, 2);
}

static void test_outage_parks_nothing(void **state)
{
	struct fixture *f = *state;
	f->remote->bad = "a1";
	queue(f, ID_A, "a1", 1);
	flush(f, 0, 1);
	assert_int_equal(parked(f).n, 0);
}

static void test_refused_messages_do_not_mean_that_the_sink_is_down(void **state)
{
	struct fixture *f = *state;
	f->remote->poison = "x";
	for (int i = 0; i < 10; i++) {
		char id[UUID_SIZE];
		random_uuid(id);
		queue(f, id, "x", 2);
	}
	queue(f, ID_A, "a1", 1);
	flush(f, 1, 10);
	assert_int_equal(parked(f).n, 10);
	assert_string_equal(buf_str(&f->remote->seen), "{\"m\":\"a1\"}\n");
}

static void test_more_than_one_batch_is_sent(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 150; i++)
		queue(f, i % 2 ? ID_A : ID_B, "x", 1);
	flush(f, 150, 0);
}

static bool at_once(void *arg)
{
	(void)arg;
	return true;
}

static void test_stop_sends_nothing_more(void **state)
{
	struct fixture *f = *state;
	size_t sent, failed;
	queue(f, ID_A, "a1", 1);
	assert_int_equal(
		notify_flush(&f->n, f->w->app.state, at_once, NULL, &sent, &failed, &f->err), 0);
	assert_int_equal(sent, 0);
	assert_int_equal(f->remote->calls, 0);
	flush(f, 1, 0);
}

static void test_find_by_name(void **state)
{
	struct fixture *f = *state;
	assert_ptr_equal(notify_find(&f->n, "bus"), &f->bus->base);
	assert_null(notify_find(&f->n, "nobody"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_are_for_what_must_survive),
		TEST(send_local_writes_local_sinks_only),
		TEST(flush_sends_what_is_due_in_order),
		TEST(flush_finds_local_rows_after_their_grace),
		TEST(failure_holds_back_later_messages_of_that_upload_only),
		TEST(failed_message_comes_back_first_after_its_pause),
		TEST(sink_that_is_down_is_left_alone_after_a_few),
		TEST(rest_of_a_batch_is_due_soon),
		TEST(messages_of_an_upload_leave_together),
		TEST(refused_message_is_parked_and_the_next_one_goes),
		TEST(refused_message_has_its_repeats),
		TEST(outage_parks_nothing),
		TEST(refused_messages_do_not_mean_that_the_sink_is_down),
		TEST(more_than_one_batch_is_sent),
		TEST(stop_sends_nothing_more),
		TEST(find_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
