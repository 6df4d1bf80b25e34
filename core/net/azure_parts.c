/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/azure_parts.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Without the blanks around it. */
static char *trimmed(const char *s, size_t len)
{
	while (len > 0 && (*s == ' ' || *s == '\t')) {
		s++;
		len--;
	}
	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return mem_strndup(s, len);
}

struct split {
	const char *const *names;
	char **parts;
	size_t n;
};

static int take_part(const char *text, size_t len, const struct split *s, struct err *err)
{
	const char *eq = memchr(text, '=', len);
	if (!eq) {
		char *rest = trimmed(text, len);
		bool empty = !rest[0];
		mem_free_secret(rest);
		return empty ? 0
			     : err_set(err, ERR_INVALID, __func__,
				       "the connection string has a part without \"=\"");
	}
	char *name = trimmed(text, (size_t)(eq - text));
	int rc = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (!str_eq_ci(name, s->names[i]))
			continue;
		if (s->parts[i])
			rc = err_set(err, ERR_INVALID, __func__,
				"the connection string has %s twice", s->names[i]);
		else
			s->parts[i] = trimmed(eq + 1, len - (size_t)(eq - text) - 1);
		break;
	}
	/* A part that lost its name may be a piece of a key. */
	mem_free_secret(name);
	return rc;
}

int azure_parts_split(const char *text, size_t len, const char *const *names, char **parts,
	size_t n, struct err *err)
{
	const struct split s = {names, parts, n};
	const char *end = text + len;
	for (size_t i = 0; i < n; i++)
		parts[i] = NULL;
	if (len > AZURE_CONNECTION_MAX)
		return err_set(err, ERR_INVALID, __func__,
			"the connection string is longer than %d bytes", AZURE_CONNECTION_MAX);
	if (str_has_control(text, len))
		return err_set(err, ERR_INVALID, __func__,
			"the connection string has a control character");
	while (text < end) {
		const char *semi = memchr(text, ';', (size_t)(end - text));
		const char *stop = semi ? semi : end;
		if (take_part(text, (size_t)(stop - text), &s, err) < 0)
			return -1;
		text = semi ? semi + 1 : end;
	}
	for (size_t i = 0; i < n; i++) {
		if (parts[i] && !parts[i][0]) {
			free(parts[i]);
			parts[i] = NULL;
		}
	}
	return 0;
}

void azure_parts_free(char **parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		mem_free_secret(parts[i]);
		parts[i] = NULL;
	}
}
