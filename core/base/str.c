/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/str.h"

#include <string.h>
#include <strings.h>

/* The C library's ctype follows the locale; these do not. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int str_to_u64(const char *s, uint64_t max, uint64_t *out)
{
	return str_to_u64_n(s, strlen(s), max, out);
}

int str_to_u64_n(const char *s, size_t len, uint64_t max, uint64_t *out)
{
	if (len == 0)
		return -1;
	uint64_t value = 0;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(s[i]))
			return -1;
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
			__builtin_add_overflow(value, (uint64_t)(s[i] - '0'), &value) ||
			value > max)
			return -1;
	}
	*out = value;
	return 0;
}

int str_to_bool(const char *s, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"true", true},
		{"false", false},
		{"yes", true},
		{"no", false},
		{"on", true},
		{"off", false},
		{"1", true},
		{"0", false},
	};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (str_eq_ci(s, words[i].word)) {
			*out = words[i].value;
			return 0;
		}
	}
	return -1;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* A number followed by one of ${units}, the last of which has no name. The product is at most
 * ${max}. */
static int number_with_unit(const char *s, const struct unit *units, uint64_t max, uint64_t *out)
{
	size_t digits = 0;
	while (is_digit(s[digits]))
		digits++;
	uint64_t value;
	if (str_to_u64_n(s, digits, max, &value) != 0)
		return -1;
	for (; units->name; units++) {
		if (strcmp(s + digits, units->name) != 0)
			continue;
		if (__builtin_mul_overflow(value, units->factor, &value) || value > max)
			return -1;
		*out = value;
		return 0;
	}
	return -1;
}

int str_to_duration_ms(const char *s, int64_t *out)
{
	static const struct unit units[] = {
		{"ms", 1},
		{"s", 1000},
		{"m", 60 * 1000},
		{"h", 60 * 60 * 1000},
		{"d", 24 * 60 * 60 * 1000},
		{NULL, 0},
	};
	if (strcmp(s, "0") == 0) {
		*out = 0;
		return 0;
	}
	uint64_t ms;
	if (number_with_unit(s, units, INT64_MAX, &ms) != 0)
		return -1;
	*out = (int64_t)ms;
	return 0;
}

int str_to_size(const char *s, uint64_t *out)
{
	static const struct unit units[] = {
		{"", 1},
		{"KiB", UINT64_C(1) << 10},
		{"MiB", UINT64_C(1) << 20},
		{"GiB", UINT64_C(1) << 30},
		{"TiB", UINT64_C(1) << 40},
		{"KB", UINT64_C(1000)},
		{"MB", UINT64_C(1000000)},
		{"GB", UINT64_C(1000000000)},
		{"TB", UINT64_C(1000000000000)},
		{NULL, 0},
	};
	return number_with_unit(s, units, UINT64_MAX, out);
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s);
	size_t tail = strlen(suffix);
	return len >= tail && memcmp(s + len - tail, suffix, tail) == 0;
}

bool str_eq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

bool str_eq_ci(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

void str_lower(char *s)
{
	for (; *s; s++)
		*s = lower(*s);
}

bool str_copy(char *dst, size_t size, const char *src)
{
	if (size == 0)
		return false;
	size_t len = strlen(src);
	bool fits = len < size;
	if (!fits)
		len = size - 1;
	memcpy(dst, src, len);
	dst[len] = '\0';
	return fits;
}

size_t str_utf8_char(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	/* The second byte's range shuts out overlong forms, surrogates and what is above U+10FFFF.
	 */
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t n;
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		n = 3;
		if (p[0] == 0xe0)
			low = 0xa0;
		else if (p[0] == 0xed)
			high = 0x9f;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		if (p[0] == 0xf0)
			low = 0x90;
		else if (p[0] == 0xf4)
			high = 0x8f;
	} else {
		return 0;
	}
	if (len < n || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

bool str_is_utf8(const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_char(s + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool str_has_control(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x20 || c == 0x7f)
			return true;
	}
	return false;
}

void str_make_printable(char *s, char put)
{
	for (; *s; s++) {
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s > 0x7e)
			*s = put;
	}
}

bool str_is_uuid(const char *s)
{
	size_t i = 0;
	for (; i < 36 && s[i]; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		bool hex = is_digit(s[i]) || (s[i] >= 'a' && s[i] <= 'f');
		if (dash ? s[i] != '-' : !hex)
			return false;
	}
	return i == 36 && s[i] == '\0';
}

/* What stands for 0 to 61; 62 and 63 differ between the two alphabets. */
static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/* ${last}: the two characters that stand for 62 and 63. */
static int base64_value(char c, const char last[2])
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (is_digit(c))
		return c - '0' + 52;
	if (c == last[0])
		return 62;
	return c == last[1] ? 63 : -1;
}

ssize_t str_base64_decode(const char *s, size_t len, unsigned char *out)
{
	if (len % 4 != 0)
		return -1;
	unsigned char *p = out;
	for (size_t i = 0; i < len; i += 4) {
		size_t pad = 0;
		if (i + 4 == len && s[i + 3] == '=')
			pad = s[i + 2] == '=' ? 2 : 1;
		unsigned int group = 0;
		for (size_t k = 0; k < 4; k++) {
			int value = k < 4 - pad ? base64_value(s[i + k], "+/") : 0;
			if (value < 0)
				return -1;
			group = group << 6 | (unsigned int)value;
		}
		/* Bits the padding cuts off must be zero, or two texts would mean the same. */
		if ((group & ((1U << (8 * pad)) - 1)) != 0)
			return -1;
		for (size_t k = 0; k < 3 - pad; k++)
			*p++ = (unsigned char)(group >> (16 - 8 * k) & 0xff);
	}
	return p - out;
}

ssize_t str_base64url_decode(const char *s, size_t len, unsigned char *out)
{
	unsigned char *p = out;
	unsigned int group = 0;
	unsigned int bits = 0;
	if (len % 4 == 1)
		return -1;
	for (size_t i = 0; i < len; i++) {
		int value = base64_value(s[i], "-_");
		if (value < 0)
			return -1;
		group = (group << 6 | (unsigned int)value) & 0x3fff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*p++ = (unsigned char)(group >> bits & 0xff);
		}
	}
	/* Bits beyond the last byte must be zero, or two texts would mean the same. */
	return (group & ((1U << bits) - 1)) != 0 ? -1 : p - out;
}

static int base64_encode(
	struct buf *out, const void *data, size_t len, const char last[2], bool padded)
{
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		unsigned int group = 0;
		for (size_t k = 0; k < 3; k++)
			group = group << 8 | (k < have ? p[i + k] : 0U);
		char text[4] = "====";
		for (size_t k = 0; k <= have; k++) {
			unsigned int value = group >> (18 - 6 * k) & 63;
			text[k] = value < 62 ? base64_digits[value] : last[value - 62];
		}
		if (buf_add(out, text, padded ? sizeof text : have + 1) != 0)
			return -1;
	}
	return 0;
}

int str_base64_encode(struct buf *out, const void *data, size_t len)
{
	return base64_encode(out, data, len, "+/", true);
}

int str_base64url_encode(struct buf *out, const void *data, size_t len)
{
	return base64_encode(out, data, len, "-_", false);
}

int str_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void str_hex(char *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

int str_percent_encode(struct buf *out, const char *s, const char *keep)
{
	int rc = 0;
	for (; *s; s++) {
		bool plain = is_alpha(*s) || is_digit(*s) || strchr("-._~", *s) || strchr(keep, *s);
		if (plain)
			rc |= buf_add_char(out, *s);
		else
			rc |= buf_printf(out, "%%%02X", (unsigned int)(unsigned char)*s);
	}
	return rc;
}
