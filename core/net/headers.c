/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/headers.h"

#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_FIELDS 8

void net_headers_init(struct net_headers *h)
{
	*h = (struct net_headers){0};
}

static void free_field(struct net_header *f)
{
	mem_wipe(f->value, strlen(f->value));
	free(f->value);
	free(f->name);
}

void net_headers_free(struct net_headers *h)
{
	for (size_t i = 0; i < h->n; i++)
		free_field(&h->items[i]);
	free(h->items);
	net_headers_init(h);
}

/* A field must not be able to begin another one, or to end the head. */
static char *one_line(const char *s)
{
	char *copy = mem_strdup(s);
	for (char *p = copy; *p != '\0'; p++) {
		if (*p == '\r' || *p == '\n')
			*p = ' ';
	}
	return copy;
}

void net_headers_add(struct net_headers *h, const char *name, const char *value)
{
	if (h->n == h->cap) {
		h->cap = h->cap ? h->cap * 2 : FIRST_FIELDS;
		h->items = mem_array(h->items, h->cap, sizeof *h->items);
	}
	h->items[h->n++] = (struct net_header){.name = one_line(name), .value = one_line(value)};
}

void net_headers_set(struct net_headers *h, const char *name, const char *value)
{
	/* Both may lie in a field that goes. */
	struct net_header fresh = {0};
	if (value)
		fresh = (struct net_header){.name = one_line(name), .value = one_line(value)};
	char *gone = mem_strdup(name);
	size_t kept = 0;
	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_ci(h->items[i].name, gone))
			free_field(&h->items[i]);
		else
			h->items[kept++] = h->items[i];
	}
	h->n = kept;
	free(gone);
	if (!value)
		return;
	net_headers_add(h, fresh.name, fresh.value);
	free_field(&fresh);
}

const char *net_headers_get(const struct net_headers *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (str_eq_ci(h->items[i].name, name))
			return h->items[i].value;
	}
	return NULL;
}
