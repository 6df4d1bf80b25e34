/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/yaml.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define TEXT_MAX ((size_t)1 << 20)
#define DEPTH_MAX 32
#define NODES_MAX 20000

struct level {
	struct yaml_node *node;
	struct yaml_node *last; /* its newest child */
	char *key;              /* read, still without its value */
};

struct builder {
	const char *name;
	struct err *err;
	struct yaml_node *root;
	struct level stack[DEPTH_MAX];
	size_t depth;
	size_t nodes;
	size_t documents;
	bool done;
};

static int refuse(struct builder *b, const yaml_event_t *event, const char *what)
{
	return err_set(b->err, ERR_INVALID, "yaml_parse", "%s:%zu: %s", b->name,
		event->start_mark.line + 1, what);
}

/* libyaml's text may hold NULs ("\0" in quotes); everything here is a C string. */
static char *copy_scalar(const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	return memchr(value, '\0', len) ? NULL : mem_strndup(value, len);
}

static int take_key(struct builder *b, struct level *top, const yaml_event_t *event)
{
	if (event->type != YAML_SCALAR_EVENT)
		return refuse(b, event, "a key must be a plain text");
	char *key = copy_scalar(event);
	if (!key)
		return refuse(b, event, "NUL character");
	if (yaml_get(top->node, key)) {
		err_set(b->err, ERR_INVALID, "yaml_parse", "%s:%zu: key '%s' appears twice",
			b->name, event->start_mark.line + 1, key);
		free(key);
		return -1;
	}
	top->key = key;
	return 0;
}

/* Hang a new node where the document is at; maps and sequences become the new place. */
static int add_node(struct builder *b, const yaml_event_t *event, enum yaml_kind kind)
{
	struct level *top = b->depth ? &b->stack[b->depth - 1] : NULL;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a level always has its node. */
	if (top && top->node->kind == YAML_MAP && !top->key)
		return take_key(b, top, event);
	if (++b->nodes > NODES_MAX)
		return refuse(b, event, "too many values");
	if (kind != YAML_SCALAR && b->depth == DEPTH_MAX)
		return refuse(b, event, "nested too deeply");
	char *scalar = NULL;
	if (kind == YAML_SCALAR) {
		scalar = copy_scalar(event);
		if (!scalar)
			return refuse(b, event, "NUL character");
	}
	struct yaml_node *node = mem_zalloc(sizeof *node);
	node->kind = kind;
	node->line = event->start_mark.line + 1;
	node->scalar = scalar;
	if (top) {
		node->key = top->key;
		top->key = NULL;
		if (top->last)
			top->last->next = node;
		else
			top->node->child = node;
		top->last = node;
	} else {
		b->root = node;
	}
	if (kind != YAML_SCALAR)
		b->stack[b->depth++] = (struct level){.node = node};
	return 0;
}

/* Only the standard meaning of untagged values is offered. */
static bool has_tag(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.tag;
	default:
		return false;
	}
}

static int take_event(struct builder *b, const yaml_event_t *event)
{
	if (has_tag(event))
		return refuse(b, event, "tags are not supported");
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++b->documents > 1)
			return refuse(b, event, "more than one document");
		return 0;
	case YAML_ALIAS_EVENT:
		return refuse(b, event, "aliases are not supported");
	case YAML_SCALAR_EVENT:
		return add_node(b, event, YAML_SCALAR);
	case YAML_SEQUENCE_START_EVENT:
		return add_node(b, event, YAML_SEQ);
	case YAML_MAPPING_START_EVENT:
		return add_node(b, event, YAML_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return 0;
	case YAML_STREAM_END_EVENT:
		b->done = true;
		return 0;
	default:
		return 0;
	}
}

static int build(struct builder *b, yaml_parser_t *parser)
{
	while (!b->done) {
		yaml_event_t event;
		if (!yaml_parser_parse(parser, &event))
			return err_set(b->err, ERR_INVALID, "yaml_parse", "%s:%zu: %s", b->name,
				parser->problem_mark.line + 1,
				parser->problem ? parser->problem : "not YAML");
		int rc = take_event(b, &event);
		yaml_event_delete(&event);
		if (rc != 0)
			return -1;
	}
	if (!b->root)
		return err_set(b->err, ERR_INVALID, "yaml_parse", "%s:1: empty", b->name);
	return 0;
}

struct yaml_node *yaml_parse(const char *name, const char *text, size_t len, struct err *err)
{
	if (len > TEXT_MAX) {
		err_set(err, ERR_TOO_LARGE, __func__, "%s:1: larger than %zu bytes", name,
			TEXT_MAX);
		return NULL;
	}
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser)) {
		err_set(err, ERR_IO, __func__, "%s:1: cannot start the parser", name);
		return NULL;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	struct builder b = {.name = name, .err = err};
	int rc = build(&b, &parser);
	yaml_parser_delete(&parser);
	if (rc == 0)
		return b.root;
	for (size_t i = 0; i < b.depth; i++)
		free(b.stack[i].key);
	yaml_tree_free(b.root);
	return NULL;
}

void yaml_tree_free(struct yaml_node *root)
{
	while (root) {
		struct yaml_node *next = root->next;
		yaml_tree_free(root->child);
		/* The const is for the readers of the tree; both texts were allocated here. */
		free((void *)root->key);
		free((void *)root->scalar);
		free(root);
		root = next;
	}
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	if (!map || map->kind != YAML_MAP)
		return NULL;
	for (const struct yaml_node *n = map->child; n; n = n->next) {
		if (strcmp(n->key, key) == 0)
			return n;
	}
	return NULL;
}
