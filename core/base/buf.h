/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_BUF_H
#define DEX_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A growable byte string with a maximum. It is always NUL-terminated once something was added.
 * An append that would pass the maximum adds nothing, sets `overflow` (sticky) and returns -1, so a
 * row of appends may be checked once at the end.
 */
struct buf {
	char *data; /* NULL while empty and never used */
	size_t len;
	size_t cap;
	size_t max; /* bytes, without the NUL */
	bool overflow;
	/*
	 * What it leaves behind, when it grows and when it is freed, is wiped. Secrets are added
	 * with buf_add: the C library's formatter leaves pieces of them on the stack.
	 */
	bool secret;
};

void buf_init(struct buf *b, size_t max);
void buf_init_secret(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* leaves an empty buffer of the same kind and maximum */
void buf_reset(struct buf *b); /* empties, keeps the memory, clears overflow */
/* Make room for ${extra} bytes at once, where it is known what will be added. */
int buf_reserve(struct buf *b, size_t extra);
int buf_add(struct buf *b, const void *data, size_t len);
int buf_add_str(struct buf *b, const char *s);
int buf_add_char(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* The contents as a malloc'ed string the caller frees ("" for an empty one); ${b} is left empty. */
char *buf_take(struct buf *b);
/* The contents as a string valid until the next change; "" for an empty buffer. */
const char *buf_str(const struct buf *b);

#endif
