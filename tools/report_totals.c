/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/report_totals.h"

#include "core/base/buf.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "tools/human.h"
#include "tools/report_row.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUMS_MAX 4096
#define NAME_MAX_BYTES 256
#define OTHERS "(others)"
#define ROW_MAX ((size_t)1 << 16)
#define COLUMN_MAX 40

struct sum {
	char *stream; /* with its route */
	char *sender;
	char state[16];
	uint64_t uploads;
	uint64_t bytes;
	uint64_t delivered;
	double seconds; /* of all delivered ones */
	double longest;
};

struct report_totals {
	struct sum *sums; /* in order */
	size_t n;
};

struct report_totals *report_totals_new(void)
{
	return mem_zalloc(sizeof(struct report_totals));
}

void report_totals_free(struct report_totals *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->sums[i].stream);
		free(t->sums[i].sender);
	}
	free(t->sums);
	free(t);
}

static int compare(const struct sum *s, const char *stream, const char *sender, const char *state)
{
	int c = strcmp(s->stream, stream);
	if (c == 0)
		c = strcmp(s->sender, sender);
	return c != 0 ? c : strcmp(s->state, state);
}

/* Where it is, or belongs. */
static size_t find(const struct report_totals *t, const char *stream, const char *sender,
	const char *state, bool *there)
{
	size_t low = 0;
	size_t high = t->n;
	*there = false;
	while (low < high && !*there) {
		size_t mid = low + (high - low) / 2;
		int c = compare(&t->sums[mid], stream, sender, state);
		if (c == 0)
			*there = true;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return *there ? high : low;
}

static struct sum *sum_of(
	struct report_totals *t, const char *stream, const char *sender, const char *state)
{
	bool there;
	size_t at = find(t, stream, sender, state, &there);
	if (there)
		return &t->sums[at];
	if (t->n >= SUMS_MAX && !str_eq(sender, OTHERS))
		return sum_of(t, OTHERS, OTHERS, state);
	t->sums = mem_array(t->sums, t->n + 1, sizeof(*t->sums));
	memmove(&t->sums[at + 1], &t->sums[at], (t->n - at) * sizeof(*t->sums));
	t->n++;
	t->sums[at] = (struct sum){.stream = mem_strdup(stream), .sender = mem_strdup(sender)};
	str_copy(t->sums[at].state, sizeof(t->sums[at].state), state);
	return &t->sums[at];
}

/* So many bytes of a name as are kept: whole characters of UTF-8. */
static int cut(const char *s)
{
	size_t n = strnlen(s, NAME_MAX_BYTES - 1);
	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

void report_totals_add(struct report_totals *t, const struct report_row *row)
{
	char stream[2 * NAME_MAX_BYTES + 2];
	char sender[NAME_MAX_BYTES];
	snprintf(stream, sizeof(stream), "%.*s/%.*s", cut(row->stream), row->stream,
		cut(row->route), row->route);
	snprintf(sender, sizeof(sender), "%.*s", cut(row->sender), row->sender);
	struct sum *s = sum_of(t, stream, sender, row->state);
	s->uploads++;
	s->bytes += (uint64_t)row->size;
	if (row->delivered_at) {
		double seconds = (double)(row->delivered_at - row->completed_at) / 1e6;
		s->delivered++;
		s->seconds += seconds;
		if (seconds > s->longest)
			s->longest = seconds;
	}
}

/* --- a table --- */

/* As it may stand on a terminal: names come from senders. */
static const char *plain(char *out, size_t size, const char *s)
{
	size_t n = 0;
	for (; *s && n + 1 < size; s++) {
		unsigned char c = (unsigned char)*s;
		bool c1 = c == 0xc2 && ((unsigned char)s[1] & 0xe0) == 0x80;
		out[n++] = c < 0x20 || c == 0x7f || c1 ? '?' : *s;
		s += c1;
	}
	out[n] = '\0';
	return n == 0 ? "-" : out;
}

static void print_sum(const struct sum *s, const char *stream, const char *sender,
	const char *state, int wide, int wider)
{
	char size[HUMAN_SIZE];
	char mean[HUMAN_SIZE] = "-";
	char longest[HUMAN_SIZE] = "-";
	if (s->delivered > 0) {
		human_seconds(mean, s->seconds / (double)s->delivered);
		human_seconds(longest, s->longest);
	}
	printf("%-*s  %-*s  %-10s  %9" PRIu64 "  %10s  %9s  %9s\n", wide, stream, wider, sender,
		state, s->uploads, human_bytes(size, (double)s->bytes), mean, longest);
}

static int widest(int now, const char *s)
{
	int len = (int)strlen(s);
	if (len > COLUMN_MAX)
		len = COLUMN_MAX;
	return len > now ? len : now;
}

void report_totals_table(struct report_totals *t)
{
	struct sum all = {0};
	int wide = 6;
	int wider = 6;
	char stream[2 * NAME_MAX_BYTES + 2];
	char sender[NAME_MAX_BYTES];
	for (size_t i = 0; i < t->n; i++) {
		wide = widest(wide, t->sums[i].stream);
		wider = widest(wider, t->sums[i].sender);
	}
	printf("%-*s  %-*s  %-10s  %9s  %10s  %9s  %9s\n", wide, "STREAM", wider, "SENDER", "STATE",
		"UPLOADS", "SIZE", "MEAN TIME", "LONGEST");
	for (size_t i = 0; i < t->n; i++) {
		const struct sum *s = &t->sums[i];
		print_sum(s, plain(stream, sizeof(stream), s->stream),
			plain(sender, sizeof(sender), s->sender), s->state, wide, wider);
		all.uploads += s->uploads;
		all.bytes += s->bytes;
		all.delivered += s->delivered;
		all.seconds += s->seconds;
		if (s->longest > all.longest)
			all.longest = s->longest;
	}
	print_sum(&all, "all", "", "", wide, wider);
}

void report_totals_json(struct report_totals *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct sum *s = &t->sums[i];
		struct buf text;
		json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f}", "stream",
			s->stream, "sender_id", s->sender, "state", s->state, "uploads",
			(json_int_t)s->uploads, "bytes", (json_int_t)s->bytes, "delivered",
			(json_int_t)s->delivered, "mean_delivery_seconds",
			s->delivered > 0 ? s->seconds / (double)s->delivered : 0.0,
			"longest_delivery_seconds", s->longest);
		buf_init(&text, ROW_MAX);
		if (o && json_write(&text, o) == 0)
			printf("%s\n%s", i > 0 ? "," : "", buf_str(&text));
		buf_free(&text);
		json_decref(o);
	}
}
