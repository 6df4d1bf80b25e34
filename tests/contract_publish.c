/* SPDX-License-Identifier: Apache-2.0 */
/* What publish.h promises, held against every sink: a further one is a further row of `rows`. */
#include "backends/registry.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/store/publish.h"
#include "tests/lib/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "2b1c4f0e-9a55-4a11-8d3e-0f6f6f1c2d3e"
#define FOLDER "made/reports"

struct row {
	const char *name;
	struct publisher *(*open)(const char *dir, struct err *err);
	/* What consumers of ${name} see, one message a line. */
	void (*received)(const char *dir, const char *name, struct buf *out);
	bool file; /* the sink is a folder below ${dir} */
};

static struct publisher *open_file(const char *dir, struct err *err)
{
	char *where = scratch_path(dir, FOLDER);
	struct publish_place place = {.where = where};
	struct publisher *p = publish_open(registry_find_publish("file"), "sink", &place, err);
	free(where);
	return p;
}

static char *file_of(const char *dir, const char *name)
{
	char file[128];
	snprintf(file, sizeof(file), FOLDER "/" ID "_%s", name);
	return scratch_path(dir, file);
}

static void received_file(const char *dir, const char *name, struct buf *out)
{
	struct err err;
	char *path = file_of(dir, name);
	if (fsio_read_file(path, out, &err) < 0)
		fail_msg("%s", err.text);
	free(path);
}

static const struct row rows[] = {
	{"file", open_file, received_file, true},
};

struct world {
	const struct row *row;
	char *dir;
	struct publisher *p;
	struct err err;
};

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	w->row = *state;
	w->dir = scratch_make();
	w->p = w->row->open(w->dir, &w->err);
	*state = w;
	return w->p ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;
	publish_close(w->p);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

static struct publish_message message(const char *name, const char *data)
{
	return (struct publish_message){
		.upload_id = ID, .name = name, .data = data, .len = strlen(data)};
}

static void send(struct world *w, const char *name, const char *data, bool repeat)
{
	struct publish_message m = message(name, data);
	if (publish_send(w->p, &m, repeat, &w->err) != 0)
		fail_msg("%s", w->err.text);
}

static void assert_received(struct world *w, const char *name, const char *text)
{
	struct buf got;
	buf_init(&got, 4 << 20);
	w->row->received(w->dir, name, &got);
	assert_string_equal(buf_str(&got), text);
	buf_free(&got);
}

static void messages_keep_their_order(void **state)
{
	struct world *w = *state;
	assert_string_equal(publish_name(w->p), "sink");
	assert_int_equal(publish_probe(w->p, &w->err), 0);
	send(w, "upload-started", "{\"n\":1}", false);
	send(w, "upload-started", "{\"n\":2}", false);
	send(w, "FileReady", "{\"n\":3}", false);
	send(w, "upload-started", "{\"n\":4}", false);
	assert_received(w, "upload-started", "{\"n\":1}\n{\"n\":2}\n{\"n\":4}\n");
	assert_received(w, "FileReady", "{\"n\":3}\n");
	publish_close(NULL);
}

static void only_the_newest_replacement_counts(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 4; i++) {
		char text[32];
		snprintf(text, sizeof(text), "{\"offset\":%d}", i);
		struct publish_message m = message("upload-status", text);
		m.replace = true;
		assert_int_equal(publish_send(w->p, &m, i == 3, &w->err), 0);
	}
	assert_received(w, "upload-status", "{\"offset\":3}\n");
}

static void equal_messages_are_both_sent(void **state)
{
	struct world *w = *state;
	send(w, "a", "{}", false);
	send(w, "a", "{}", false);
	assert_received(w, "a", "{}\n{}\n");
}

static void repeated_message_is_there_once(void **state)
{
	struct world *w = *state;
	send(w, "a", "{\"n\":1}", true);
	assert_received(w, "a", "{\"n\":1}\n");
	send(w, "a", "{\"n\":1}", true);
	send(w, "a", "{\"n\":2}", false);
	send(w, "a", "{\"n\":2}", true);
	send(w, "a", "{\"n\":1}", true);
	assert_received(w, "a", "{\"n\":1}\n{\"n\":2}\n");
	/* A part of a line is another message. */
	send(w, "a", "{\"n\":1", true);
	send(w, "a", "\"n\":2}", true);
	assert_received(w, "a", "{\"n\":1}\n{\"n\":2}\n{\"n\":1\n\"n\":2}\n");
}

static void malformed_messages_are_refused(void **state)
{
	struct world *w = *state;
	struct publish_message cases[] = {
		{"../../x", "a", "{}", 2, false},
		{"", "a", "{}", 2, false},
		{ID, "", "{}", 2, false},
		{ID, "a/b", "{}", 2, false},
		{ID, "..", "{}", 2, false},
		{ID, "a b", "{}", 2, false},
		{ID, "a", "{}\n", 3, false},
		{ID, "a", "", 0, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(publish_send(w->p, &cases[i], false, &w->err), -1);
		assert_int_equal(w->err.code, ERR_INVALID);
		assert_true(publish_refused(&w->err));
		assert_int_equal(publish_send(w->p, &cases[i], true, NULL), -1);
	}
}

#define SENDERS 4
#define EACH 50

struct sender {
	struct world *w;
	int number;
	int failures;
};

static void *send_many(void *arg)
{
	struct sender *s = arg;
	for (int i = 0; i < EACH; i++) {
		struct err err;
		char text[32];
		snprintf(text, sizeof(text), "{\"s\":%d,\"n\":%03d}", s->number, i);
		struct publish_message m = message("a", text);
		s->failures += publish_send(s->w->p, &m, i % 10 == 0, &err) != 0;
	}
	return NULL;
}

static void senders_do_not_mix_their_lines(void **state)
{
	struct world *w = *state;
	pthread_t threads[SENDERS];
	struct sender senders[SENDERS];
	int next[SENDERS] = {0};
	struct buf got;
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){w, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
	}
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(senders[i].failures, 0);
	}
	buf_init(&got, 1 << 20);
	w->row->received(w->dir, "a", &got);
	const char *line = buf_str(&got);
	for (int i = 0; i < SENDERS * EACH; i++) {
		int s, n, used = 0;
		assert_int_equal(sscanf(line, "{\"s\":%1d,\"n\":%3d}\n%n", &s, &n, &used), 2);
		assert_true(used > 0 && s >= 0 && s < SENDERS);
		assert_int_equal(n, next[s]++);
		line += used;
	}
	assert_string_equal(line, "");
	buf_free(&got);
}

static void files_are_made_as_needed(void **state)
{
	struct world *w = *state;
	struct stat st;
	if (!w->row->file)
		skip();
	assert_true(publish_is_local(w->p));
	char *folder = scratch_path(w->dir, FOLDER);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(publish_probe(w->p, &w->err), -1);
	assert_non_null(strstr(w->err.text, "sink"));
	send(w, "a", "{}", false);
	send(w, "a", "{}", true);
	assert_received(w, "a", "{}\n");
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	char *path = file_of(w->dir, "a");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	free(path);
	free(folder);
}

static void write_file(struct world *w, const char *name, const char *text, size_t len)
{
	char *path = file_of(w->dir, name);
	assert_int_equal(fsio_replace(path, text, len, false, &w->err), 0);
	free(path);
}

static void line_cut_by_a_crash_is_sent_whole(void **state)
{
	struct world *w = *state;
	if (!w->row->file)
		skip();
	write_file(w, "a", "{}\n{\"n\":1", 9);
	send(w, "a", "{\"n\":1}", true);
	assert_received(w, "a", "{}\n{\"n\":1\n{\"n\":1}\n");
}

static void large_files_are_searched_at_their_end(void **state)
{
	struct world *w = *state;
	struct stat st;
	if (!w->row->file)
		skip();
	size_t len = 3 << 20;
	char *text = mem_alloc(len);
	memset(text, 'x', len);
	text[len - 1] = '\n';
	write_file(w, "a", text, len);
	free(text);
	send(w, "a", "{\"n\":1}", true);
	send(w, "a", "{\"n\":1}", true);
	char *path = file_of(w->dir, "a");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, len + 8);
	free(path);
}

static size_t spares_in(struct world *w)
{
	char *path = scratch_path(w->dir, FOLDER "/.spare");
	DIR *d = opendir(path);
	size_t n = 0;
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	free(path);
	return n;
}

static void replace_with(struct world *w, const char *name, const char *text)
{
	struct publish_message m = message(name, text);
	m.replace = true;
	if (publish_send(w->p, &m, false, &w->err) != 0)
		fail_msg("%s", w->err.text);
}

/* The file of the first replacement has rested long enough to serve again. */
static void let_spares_rest(void)
{
	clock_sleep_ms(1100);
}

static void replacements_may_be_shorter_or_longer(void **state)
{
	struct world *w = *state;
	for (int round = 0; round < 3; round++) {
		replace_with(w, "a", "{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxx\"}");
		replace_with(w, "a", "{}");
		assert_received(w, "a", "{}\n");
		if (w->row->file)
			let_spares_rest();
		replace_with(w, "a", "{\"n\":1}");
		assert_received(w, "a", "{\"n\":1}\n");
		replace_with(w, "b", "{}");
		assert_received(w, "b", "{}\n");
	}
}

static void open_file_keeps_its_text(void **state)
{
	struct world *w = *state;
	struct stat st;
	if (!w->row->file)
		skip();
	replace_with(w, "a", "{\"n\":1}");
	char *path = file_of(w->dir, "a");
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	char *copy = scratch_path(w->dir, "copy");
	replace_with(w, "a", "{\"n\":2}");
	assert_int_equal(link(path, copy), 0);
	replace_with(w, "a", "{\"n\":3}");
	assert_int_equal(chmod(path, 0644), 0);
	replace_with(w, "a", "{\"n\":4}");
	let_spares_rest();
	for (int i = 0; i < 8; i++)
		replace_with(w, i % 2 ? "a" : "b", "{\"other\":true}");
	char text[32] = "";
	assert_int_equal(read(fd, text, sizeof(text) - 1), 8);
	assert_string_equal(text, "{\"n\":1}\n");
	close(fd);
	struct buf got;
	buf_init(&got, 100);
	assert_int_equal(fsio_read_file(copy, &got, &w->err), 0);
	assert_string_equal(buf_str(&got), "{\"n\":2}\n");
	buf_free(&got);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	free(copy);
	free(path);
}

struct watcher {
	char *path;
	_Atomic bool stop;
	int seen;
	int bad;
};

static void *watch(void *arg)
{
	struct watcher *r = arg;
	do {
		char text[2048];
		int fd = open(r->path, O_RDONLY);
		if (fd < 0) {
			r->bad++;
			continue;
		}
		ssize_t n = read(fd, text, sizeof(text));
		close(fd);
		/* {"aaa…"}: one letter, as often as it says. */
		bool good = n > 5 && memcmp(text, "{\"", 2) == 0 &&
			    memcmp(text + n - 3, "\"}\n", 3) == 0;
		for (ssize_t i = 3; good && i < n - 3; i++)
			good = text[i] == text[2];
		r->bad += !good || n != 6 + (text[2] - 'a') * 61;
		r->seen++;
	} while (!atomic_load(&r->stop));
	return NULL;
}

static void replace_with_letters(struct world *w, int i)
{
	char text[2048];
	int letter = i * 7 % 26;
	int n = 1 + letter * 61;
	memcpy(text, "{\"", 2);
	memset(text + 2, 'a' + letter, (size_t)n);
	memcpy(text + 2 + n, "\"}", 3);
	replace_with(w, "a", text);
}

static void readers_see_the_old_text_or_the_new(void **state)
{
	struct world *w = *state;
	if (!w->row->file)
		skip();
	struct watcher r = {.path = file_of(w->dir, "a")};
	pthread_t threads[2];
	struct watcher second = {.path = r.path};
	replace_with_letters(w, 0);
	assert_int_equal(pthread_create(&threads[0], NULL, watch, &r), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, watch, &second), 0);
	int64_t end = clock_mono_ms() + 2500;
	for (int i = 0; clock_mono_ms() < end; i++)
		replace_with_letters(w, i);
	atomic_store(&r.stop, true);
	atomic_store(&second.stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_true(r.seen > 0 && second.seen > 0);
	assert_int_equal(r.bad + second.bad, 0);
	free(r.path);
}

static void spare_files_go_when_the_sink_is_closed(void **state)
{
	struct world *w = *state;
	struct stat st;
	if (!w->row->file)
		skip();
	char *folder = scratch_path(w->dir, FOLDER);
	char *spare = scratch_path(w->dir, FOLDER "/.spare");
	replace_with(w, "a", "{}");
	replace_with(w, "a", "{}");
	size_t kept = spares_in(w);
	/* Somebody clears everything away. */
	scratch_remove(mem_strdup(folder));
	replace_with(w, "a", "{\"n\":1}");
	let_spares_rest();
	replace_with(w, "b", "{\"n\":2}");
	replace_with(w, "b", "{\"n\":3}");
	assert_received(w, "a", "{\"n\":1}\n");
	assert_received(w, "b", "{\"n\":3}\n");
	assert_true(spares_in(w) <= kept + 1);
	publish_close(w->p);
	w->p = NULL;
	assert_int_equal(stat(spare, &st), -1);
	free(spare);
	free(folder);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(messages_keep_their_order),
	TEST(only_the_newest_replacement_counts),
	TEST(equal_messages_are_both_sent),
	TEST(repeated_message_is_there_once),
	TEST(malformed_messages_are_refused),
	TEST(senders_do_not_mix_their_lines),
	TEST(files_are_made_as_needed),
	TEST(line_cut_by_a_crash_is_sent_whole),
	TEST(large_files_are_searched_at_their_end),
	TEST(replacements_may_be_shorter_or_longer),
	TEST(open_file_keeps_its_text),
	TEST(readers_see_the_old_text_or_the_new),
	TEST(spare_files_go_when_the_sink_is_closed),
};
#undef TEST

int main(void)
{
	int failed = 0;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct CMUnitTest of_row[sizeof(tests) / sizeof(tests[0])];
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
			of_row[i] = tests[i];
			of_row[i].initial_state = (void *)&rows[r];
		}
		char group[64];
		snprintf(group, sizeof(group), "publish: %s", rows[r].name);
		failed += _cmocka_run_group_tests(
			group, of_row, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
	}
	return failed > 0;
}
