/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_parts.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* One part on its way. */
struct slot {
	struct task task;
	struct blob_parts *parts;
	struct blob_part part;
	void *map; /* what part.data stands in */
	int rc;
	struct err err;
	atomic_bool sent; /* rc and the tag are there: tasks_wait will not have to wait long */
};

struct blob_parts {
	struct blob_parts_options o;
	char *gather; /* part_size bytes, or NULL while nothing is gathered */
	size_t gathered;
	uint64_t offset;    /* of the first gathered byte */
	uint32_t number;    /* of the next part */
	struct slot *slots; /* a ring of o.in_flight */
	size_t oldest;
	size_t flying;
	void **spare; /* maps of parts that were sent, for the next ones: new pages cost more */
	size_t spares;
	bool failed;
	struct err first; /* why: the failure that stays */
};

struct blob_parts *blob_parts_new(
	const struct blob_parts_options *o, uint64_t offset, uint32_t number)
{
	struct blob_parts *p = mem_zalloc(sizeof(*p));

	p->o = *o;
	p->offset = offset;
	p->number = number;
	p->slots = mem_array(NULL, o->in_flight, sizeof(*p->slots));
	p->spare = mem_array(NULL, o->in_flight + 1, sizeof(*p->spare));
	return p;
}

/* Give back the memory of a part. There is nothing to be done about a failure. */
static void unmap(const struct blob_parts *p, void *map)
{
	if (map)
		(void)munmap(map, p->o.part_size);
}

static void drop_spares(struct blob_parts *p)
{
	while (p->spares > 0)
		unmap(p, p->spare[--p->spares]);
}

/* Run by the store's tasks. */
static void send_part(void *arg)
{
	struct slot *s = arg;

	s->rc = s->parts->o.put(s->parts->o.arg, &s->part, &s->err);
	s->part.data = NULL;
	atomic_store_explicit(&s->sent, true, memory_order_release);
}

static struct slot *wait_for_oldest(struct blob_parts *p)
{
	struct slot *s = &p->slots[p->oldest];

	tasks_wait(&s->task);
	p->spare[p->spares++] = s->map;
	if (++p->oldest == p->o.in_flight)
		p->oldest = 0;
	p->flying--;
	return s;
}

/* Wait for the oldest part and tell that it has arrived, unless one before it has not. */
static void land_oldest(struct blob_parts *p)
{
	const struct slot *s = wait_for_oldest(p);

	if (p->failed)
		return;
	if (s->rc < 0) {
		p->failed = true;
		p->first = s->err;
	} else if (p->o.arrived) {
		p->o.arrived(p->o.arg, &s->part);
	}
}

/* Those that need no waiting. */
static void land_sent(struct blob_parts *p)
{
	while (p->flying > 0 &&
		atomic_load_explicit(&p->slots[p->oldest].sent, memory_order_acquire))
		land_oldest(p);
}

/* -1 + the failure that stays, if there is one. */
static int check(const struct blob_parts *p, struct err *err)
{
	if (!p->failed)
		return 0;
	if (err)
		*err = p->first;
	return -1;
}

static int make_room(struct blob_parts *p)
{
	if (!p->gather && p->spares > 0)
		p->gather = p->spare[--p->spares];
	if (p->gather)
		return 0;
	void *map = mmap(
		NULL, p->o.part_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		p->failed = true;
		return err_errno(
			&p->first, __func__, "no memory for a part of %zu bytes", p->o.part_size);
	}
	p->gather = map;
	return 0;
}

/* What is gathered goes its way. */
static void launch(struct blob_parts *p)
{
	size_t at = p->oldest + p->flying;
	struct slot *s = &p->slots[at < p->o.in_flight ? at : at - p->o.in_flight];

	*s = (struct slot){
		.task = {.fn = send_part, .arg = s},
		.parts = p,
		.part =
			{
				.number = p->number,
				.offset = p->offset,
				.data = p->gather,
				.len = p->gathered,
			},
		.map = p->gather,
	};
	p->flying++;
	p->number++;
	p->offset += p->gathered;
	p->gather = NULL;
	p->gathered = 0;
	tasks_start(p->o.tasks, &s->task);
}

int blob_parts_append(struct blob_parts *p, const void *data, size_t len, struct err *err)
{
	const char *from = data;

	land_sent(p);
	while (len > 0) {
		if (p->failed || make_room(p) < 0)
			break;
		size_t room = p->o.part_size - p->gathered;
		size_t n = len < room ? len : room;
		memcpy(p->gather + p->gathered, from, n);
		p->gathered += n;
		from += n;
		len -= n;
		if (n == room && blob_parts_send(p, err) < 0)
			break;
	}
	return check(p, err);
}

size_t blob_parts_gathered(const struct blob_parts *p)
{
	return p->gathered;
}

const void *blob_parts_gathered_data(const struct blob_parts *p)
{
	return p->gather;
}

int blob_parts_send(struct blob_parts *p, struct err *err)
{
	land_sent(p);
	if (p->gathered > 0 && p->flying == p->o.in_flight)
		land_oldest(p);
	if (check(p, err) < 0)
		return -1;
	if (p->gathered > 0)
		launch(p);
	return 0;
}

int blob_parts_settle(struct blob_parts *p, struct err *err)
{
	while (p->flying > 0)
		land_oldest(p);
	drop_spares(p);
	if (p->gathered == 0)
		blob_parts_drop_gathered(p);
	return check(p, err);
}

void blob_parts_drop_gathered(struct blob_parts *p)
{
	unmap(p, p->gather);
	p->gather = NULL;
	p->gathered = 0;
}

void blob_parts_free(struct blob_parts *p)
{
	if (!p)
		return;
	while (p->flying > 0)
		(void)wait_for_oldest(p);
	drop_spares(p);
	blob_parts_drop_gathered(p);
	free(p->spare);
	free(p->slots);
	free(p);
}
