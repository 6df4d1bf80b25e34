/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_parts.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PART ((size_t)256 << 10)
#define PARTS_MAX 32

/* A store that keeps parts in memory and lets tests say when each of them ends. */
struct world {
	struct tasks *tasks;
	struct blob_parts *parts;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	char *stored; /* PARTS_MAX parts, by their offsets */
	size_t lens[PARTS_MAX];
	const void *maps[PARTS_MAX]; /* where their data were */
	bool sent[PARTS_MAX];
	int inside, most, entered;
	bool pairs;     /* a part waits until its even or odd neighbour is on its way too */
	bool backwards; /* a part waits until the next one was sent, the last of `total` does not */
	uint32_t total;
	uint32_t fail, fail2; /* numbers of the parts that fail; 0: none */
	uint32_t next_arrival;
	uint64_t arrived_bytes;
	struct err err;
};

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	w->tasks = tasks_new(8);
	w->stored = mem_zalloc(PARTS_MAX * PART);
	w->next_arrival = 1;
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->changed, NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	blob_parts_free(w->parts);
	tasks_free(w->tasks);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->mutex);
	free(w->stored);
	free(w);
	return 0;
}

/* cmocka cannot fail a test from another thread: what is wrong here ends the program. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

static int put(void *arg, struct blob_part *p, struct err *err)
{
	struct world *w = arg;
	must(p->number >= 1 && p->number < PARTS_MAX && p->len > 0 && p->len <= PART);
	pthread_mutex_lock(&w->mutex);
	w->entered++;
	if (++w->inside > w->most)
		w->most = w->inside;
	pthread_cond_broadcast(&w->changed);
	while (w->pairs && w->entered < (int)(p->number + 1) / 2 * 2)
		pthread_cond_wait(&w->changed, &w->mutex);
	while (w->backwards && p->number < w->total && !w->sent[p->number + 1])
		pthread_cond_wait(&w->changed, &w->mutex);
	memcpy(w->stored + p->offset, p->data, p->len);
	w->lens[p->number] = p->len;
	w->maps[p->number] = p->data;
	w->sent[p->number] = true;
	w->inside--;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->mutex);
	if (p->number == w->fail || p->number == w->fail2)
		return err_set(err, ERR_UNAVAILABLE, __func__, "part %u fails", p->number);
	snprintf(p->tag, sizeof(p->tag), "tag %u", p->number);
	return 0;
}

static void arrived(void *arg, const struct blob_part *p)
{
	struct world *w = arg;
	char tag[32];
	assert_int_equal(p->number, w->next_arrival++);
	assert_int_equal(p->offset, w->arrived_bytes);
	assert_null(p->data);
	snprintf(tag, sizeof(tag), "tag %u", p->number);
	assert_string_equal(p->tag, tag);
	w->arrived_bytes += p->len;
}

static void begin(struct world *w, size_t in_flight)
{
	struct blob_parts_options o = {
		.tasks = w->tasks,
		.part_size = PART,
		.in_flight = in_flight,
		.put = put,
		.arrived = arrived,
		.arg = w,
	};
	w->parts = blob_parts_new(&o, 0, 1);
}

static char *pattern(size_t len)
{
	char *data = mem_alloc(len);
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i % 251);
	return data;
}

static int append(struct world *w, const char *data, size_t len)
{
	return blob_parts_append(w->parts, data, len, &w->err);
}

static void parts_keep_the_order_of_the_bytes(void **state)
{
	struct world *w = *state;
	size_t len = 6 * PART + 1000;
	char *data = pattern(len);
	begin(w, 3);
	/* Pieces that fall across the borders of parts, one of many parts, and nothing. */
	size_t at = 0;
	for (size_t n = 1; at + n < 2 * PART; at += n, n = n * 3 % 70001 + 1)
		assert_int_equal(append(w, data + at, n), 0);
	assert_int_equal(append(w, data + at, 0), 0);
	assert_int_equal(append(w, data + at, len - at), 0);
	assert_int_equal(blob_parts_gathered(w->parts), 1000);
	assert_memory_equal(blob_parts_gathered_data(w->parts), data + 6 * PART, 1000);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), 0);
	assert_int_equal(w->arrived_bytes, 6 * PART);
	assert_int_equal(blob_parts_gathered(w->parts), 1000);
	assert_int_equal(blob_parts_send(w->parts, &w->err), 0);
	assert_int_equal(blob_parts_send(w->parts, &w->err), 0);
	assert_int_equal(blob_parts_gathered(w->parts), 0);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), 0);
	assert_int_equal(w->arrived_bytes, len);
	assert_int_equal(w->next_arrival, 8);
	for (int i = 1; i <= 6; i++)
		assert_int_equal(w->lens[i], PART);
	assert_memory_equal(w->stored, data, len);
	free(data);
}

static void later_parts_that_are_faster_wait_for_their_turn(void **state)
{
	struct world *w = *state;
	char *data = pattern(4 * PART);
	w->backwards = true;
	w->total = 4;
	begin(w, 4);
	assert_int_equal(append(w, data, 4 * PART), 0);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), 0);
	assert_int_equal(w->next_arrival, 5);
	assert_int_equal(w->arrived_bytes, 4 * PART);
	assert_memory_equal(w->stored, data, 4 * PART);
	free(data);
}

static void as_many_are_on_their_way_as_said(void **state)
{
	struct world *w = *state;
	char *data = pattern(10 * PART);
	w->pairs = true; /* would never end with fewer */
	begin(w, 2);
	assert_int_equal(append(w, data, 10 * PART), 0);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), 0);
	assert_int_equal(w->most, 2);
	assert_int_equal(w->next_arrival, 11);
	free(data);
}

static void one_at_a_time(void **state)
{
	struct world *w = *state;
	char *data = pattern(5 * PART);
	begin(w, 1);
	assert_int_equal(append(w, data, 5 * PART), 0);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), 0);
	assert_int_equal(w->most, 1);
	/* In no more memory than that and the part that is gathered. */
	for (int i = 3; i <= 5; i++)
		assert_true(w->maps[i] == w->maps[1] || w->maps[i] == w->maps[2]);
	assert_memory_equal(w->stored, data, 5 * PART);
	free(data);
}

static void offsets_and_numbers_go_on_from_where_it_began(void **state)
{
	struct world *w = *state;
	char *data = pattern(PART + 5);
	struct blob_parts_options o = {
		.tasks = w->tasks, .part_size = PART, .in_flight = 2, .put = put, .arg = w};
	w->parts = blob_parts_new(&o, 3 * PART, 7);
	assert_int_equal(append(w, data, 5), 0);
	blob_parts_drop_gathered(w->parts);
	assert_int_equal(append(w, data, PART + 5), 0);
	assert_int_equal(blob_parts_send(w->parts, &w->err), 0);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), 0);
	assert_int_equal(w->lens[7], PART);
	assert_int_equal(w->lens[8], 5);
	assert_memory_equal(w->stored + 3 * PART, data, PART + 5);
	free(data);
}

static void the_first_failure_stays(void **state)
{
	struct world *w = *state;
	char *data = pattern(8 * PART);
	/* The fourth fails before the third does: the third comes first in the object. */
	w->fail = 3;
	w->fail2 = 4;
	w->backwards = true;
	w->total = 4;
	begin(w, 4);
	(void)append(w, data, 4 * PART);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_string_equal(w->err.text, "part 3 fails");
	assert_int_equal(w->next_arrival, 3);
	for (int i = 0; i < 2; i++) {
		err_clear(&w->err);
		assert_int_equal(append(w, data, 1), -1);
		assert_string_equal(w->err.text, "part 3 fails");
		assert_int_equal(blob_parts_send(w->parts, &w->err), -1);
		assert_int_equal(blob_parts_settle(w->parts, NULL), -1);
	}
	assert_int_equal(w->entered, 4);
	assert_int_equal(w->next_arrival, 3);
	free(data);
}

static void append_tells_of_a_failure(void **state)
{
	struct world *w = *state;
	char *data = pattern(PARTS_MAX * PART);
	w->fail = 2;
	begin(w, 2);
	assert_int_equal(append(w, data, (PARTS_MAX - 1) * PART), -1);
	assert_string_equal(w->err.text, "part 2 fails");
	assert_true(w->entered <= 4);
	free(data);
}

static void free_waits_for_what_is_on_its_way(void **state)
{
	struct world *w = *state;
	char *data = pattern(4 * PART + 9);
	w->backwards = true;
	w->total = 4;
	begin(w, 4);
	assert_int_equal(append(w, data, 4 * PART + 9), 0);
	blob_parts_free(w->parts);
	w->parts = NULL;
	assert_int_equal(w->entered, 4);
	assert_int_equal(w->inside, 0);
	blob_parts_free(NULL);
	free(data);
}

/* -1: nothing is mapped at ${at}; else the pages of a part that are in memory. */
static int resident(const void *at)
{
	unsigned char pages[PART >> 12];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int n = 0;
	assert_true(PART / page <= sizeof(pages));
	if (mincore((void *)(uintptr_t)at, PART, pages) < 0) {
		assert_int_equal(errno, ENOMEM);
		return -1;
	}
	for (size_t i = 0; i < PART / page; i++)
		n += pages[i] & 1;
	return n;
}

static void memory_is_taken_and_given_back(void **state)
{
	struct world *w = *state;
	char *data = pattern(3 * PART);
	begin(w, 2);
	assert_null(blob_parts_gathered_data(w->parts));
	assert_int_equal(append(w, data, 1), 0);
	const void *gather = blob_parts_gathered_data(w->parts);
	int pages = resident(gather);
	assert_true(pages >= 1 && pages < 8);
	blob_parts_drop_gathered(w->parts);
	assert_null(blob_parts_gathered_data(w->parts));
	assert_int_equal(resident(gather), -1);

	assert_int_equal(append(w, data, 3 * PART), 0);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), 0);
	assert_null(blob_parts_gathered_data(w->parts));
	for (int i = 1; i <= 3; i++)
		assert_int_equal(resident(w->maps[i]), -1);

	assert_int_equal(append(w, data, 10), 0);
	gather = blob_parts_gathered_data(w->parts);
	assert_int_equal(blob_parts_settle(w->parts, &w->err), 0);
	assert_ptr_equal(blob_parts_gathered_data(w->parts), gather);
	assert_memory_equal(gather, data, 10);
	blob_parts_free(w->parts);
	w->parts = NULL;
	assert_int_equal(resident(gather), -1);
	free(data);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(parts_keep_the_order_of_the_bytes),
		TEST(later_parts_that_are_faster_wait_for_their_turn),
		TEST(as_many_are_on_their_way_as_said),
		TEST(one_at_a_time),
		TEST(offsets_and_numbers_go_on_from_where_it_began),
		TEST(the_first_failure_stays),
		TEST(append_tells_of_a_failure),
		TEST(free_waits_for_what_is_on_its_way),
		TEST(memory_is_taken_and_given_back),
	};
#undef TEST
	return cmocka_run_group_tests_name("blob_parts", tests, NULL, NULL);
}
