/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_STR_H
#define DEX_BASE_STR_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Strict parsers and small string helpers. Every number in the program goes through one of these:
 * the whole string must match, no sign, no white space, no leading '+', bounds checked. 0 or -1.
 */

/* Decimal 0 … ${max}; "007" is accepted, "" and "-1" are not. */
int str_to_u64(const char *s, uint64_t max, uint64_t *out);
/* As str_to_u64 for the first ${len} bytes of ${s}. */
int str_to_u64_n(const char *s, size_t len, uint64_t max, uint64_t *out);
/* true|false, yes|no, on|off, 1|0, any case. */
int str_to_bool(const char *s, bool *out);
/* "90s", "15m", "24h", "7d", "250ms"; "0" alone is zero. Result in milliseconds. */
int str_to_duration_ms(const char *s, int64_t *out);
/* "512", "64KiB", "64MiB", "5GiB", "1TiB", also KB MB GB TB (powers of 1000). Result in bytes. */
int str_to_size(const char *s, uint64_t *out);

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_eq(const char *a, const char *b);    /* NULL equals NULL only */
bool str_eq_ci(const char *a, const char *b); /* ASCII case folded */
void str_lower(char *s);                      /* ASCII, in place */
/* Copy with truncation, always NUL-terminated; returns false when it did not fit. */
bool str_copy(char *dst, size_t size, const char *src);

/* Valid UTF-8 (RFC 3629: no surrogates, no overlong forms, up to U+10FFFF). */
bool str_is_utf8(const char *s, size_t len);
/* Length of the valid UTF-8 character that ${s} starts with, 0 when the first byte is invalid. */
size_t str_utf8_char(const char *s, size_t len);
/* Contains a byte below 0x20 or 0x7f, or NUL. */
bool str_has_control(const char *s, size_t len);
/* Make every byte of ${s} that is no printable ASCII, or is a blank, into ${put}. */
void str_make_printable(char *s, char put);
/* A random UUID's canonical text: 8-4-4-4-12, lower-case hex. Nothing else is ever an upload id. */
bool str_is_uuid(const char *s);

/*
 * Base64 (RFC 4648 section 4), strict: canonical padding required, no white space, no stray bits.
 * Decodes ${len} bytes into ${out}, which must hold len/4*3; returns the byte count or -1.
 */
ssize_t str_base64_decode(const char *s, size_t len, unsigned char *out);
/*
 * The URL-safe alphabet (RFC 4648 section 5) as JOSE writes it, strict: no padding, no white space,
 * no stray bits. ${out} must hold len/4*3+2; returns the byte count or -1.
 */
ssize_t str_base64url_decode(const char *s, size_t len, unsigned char *out);
/* Append the padded encoding. */
int str_base64_encode(struct buf *out, const void *data, size_t len);
/* The same in the URL-safe alphabet, without padding. */
int str_base64url_encode(struct buf *out, const void *data, size_t len);
/* Value of a hexadecimal digit of either case, or -1. */
int str_hex_digit(char c);
/* Lower-case hex; ${out} holds 2*len+1. */
void str_hex(char *out, const void *data, size_t len);

/* Append ${s} percent-encoded but for unreserved characters (RFC 3986) and those in ${keep}. */
int str_percent_encode(struct buf *out, const char *s, const char *keep);

/*
 * Replace $NAME, ${NAME}, ${NAME:-default} and $$ in ${in} by what ${lookup} answers (NULL =
 * unset). An unset name without default, or a malformed reference, is an error that names the
 * variable and the line. Used for configuration files before they are parsed. Limit: ${out}->max.
 */
struct err;
int str_expand(struct buf *out, const char *in, size_t len,
	const char *(*lookup)(void *arg, const char *name), void *arg, struct err *err);

#endif
