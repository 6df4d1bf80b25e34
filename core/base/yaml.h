/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_YAML_H
#define DEX_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>

/*
 * YAML through libyaml, as a tree that remembers lines. Limits: 1 MiB of text, 32 levels, 20,000
 * nodes; aliases, tags and more than one document are refused; duplicate keys are refused.
 */
enum yaml_kind { YAML_SCALAR, YAML_SEQ, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	size_t line;             /* from 1 */
	const char *key;         /* name within the parent map, else NULL */
	const char *scalar;      /* YAML_SCALAR: text, never NULL */
	struct yaml_node *child; /* first element or member */
	struct yaml_node *next;  /* next sibling */
};

struct err;

/* Parse ${text}; ${name} is what errors call it ("delivery.yml"). NULL + err "NAME:LINE: …". */
struct yaml_node *yaml_parse(const char *name, const char *text, size_t len, struct err *err);
/* NULL is fine. (Not yaml_free: libyaml calls a function of that name, and would get this one.) */
void yaml_tree_free(struct yaml_node *root);
/* Member of a map or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

#endif
