/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/buf.h"

#include "core/base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 128

void buf_init(struct buf *b, size_t max)
{
	/* Room for the NUL must not wrap around. */
	*b = (struct buf){.max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4};
}

void buf_init_secret(struct buf *b, size_t max)
{
	buf_init(b, max);
	b->secret = true;
}

/* Without its memory, which was freed or given away. */
static void empty(struct buf *b)
{
	*b = (struct buf){.max = b->max, .secret = b->secret};
}

void buf_free(struct buf *b)
{
	if (b->secret)
		mem_wiping_free(b->data);
	else
		free(b->data);
	empty(b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->data)
		b->data[0] = '\0';
}

int buf_reserve(struct buf *b, size_t extra)
{
	if (b->overflow || extra > b->max || b->len > b->max - extra) {
		b->overflow = true;
		return -1;
	}
	size_t need = b->len + extra + 1;
	if (need <= b->cap)
		return 0;
	size_t cap = b->cap ? b->cap * 2 : FIRST_SIZE;
	if (cap > b->max + 1)
		cap = b->max + 1;
	if (cap < need)
		cap = need;
	b->data = b->secret ? mem_wiping_realloc(b->data, cap) : mem_realloc(b->data, cap);
	b->cap = cap;
	return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	if (buf_reserve(b, len) != 0)
		return -1;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int buf_add_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_add_char(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int rc = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return rc;
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	/* A text that finds room is formatted once, not twice. */
	if (b->cap - b->len < FIRST_SIZE && b->max - b->len >= FIRST_SIZE && !b->overflow)
		(void)buf_reserve(b, FIRST_SIZE);
	size_t room = b->cap - b->len;
	int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
	int rc = -1;
	if (n < 0) {
		b->overflow = true;
	} else if (buf_reserve(b, (size_t)n) == 0) {
		if ((size_t)n >= room)
			vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
		rc = 0;
	}
	/* What the first try wrote of a refused text must not show. */
	if (rc != 0 && b->data)
		b->data[b->len] = '\0';
	va_end(again);
	return rc;
}

char *buf_take(struct buf *b)
{
	char *data = b->data ? b->data : mem_strdup("");
	empty(b);
	return data;
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}
