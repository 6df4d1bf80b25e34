/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_list.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "core/net/xml.h"

#include <stdlib.h>
#include <string.h>

/* A thousand entries with keys of 1024 bytes, each of them three characters, and what is around. */
#define PAGE_BYTES ((size_t)8 << 20)
#define PAGE_ENTRIES 1000
#define TEXT_MAX 8192

struct entry {
	struct blob_s3_list_item item;
	char *key;
	char *upload;
};

/* Which of the three listings. */
struct kind {
	const char *root;  /* of the answer */
	const char *entry; /* its element for one entry */
	const char *next[2];
	const char *param[2]; /* what the texts of ${next} are sent as */
	bool encoded[2];      /* they are encoded as keys are */
};

static const struct kind objects_kind = {"ListBucketResult", "Contents",
	{"NextContinuationToken", NULL}, {"continuation-token", NULL}, {false, false}};
static const struct kind uploads_kind = {"ListMultipartUploadsResult", "Upload",
	{"NextKeyMarker", "NextUploadIdMarker"}, {"key-marker", "upload-id-marker"}, {true, false}};
static const struct kind parts_kind = {"ListPartsResult", "Part", {"NextPartNumberMarker", NULL},
	{"part-number-marker", NULL}, {false, false}};

struct page {
	const struct kind *kind;
	struct entry *entries; /* the one after the last is being read */
	size_t n;
	char *next[2];
	bool truncated;
	bool encoded; /* keys are percent-encoded */
	bool complete;
};

static void entry_free(struct entry *e)
{
	free(e->key);
	free(e->upload);
	*e = (struct entry){0};
}

static void page_free(struct page *p)
{
	for (size_t i = 0; i <= PAGE_ENTRIES; i++)
		entry_free(&p->entries[i]);
	free(p->entries);
	free(p->next[0]);
	free(p->next[1]);
}

static void keep(char **at, const char *text)
{
	free(*at);
	*at = mem_strdup(text);
}

/* A field of an entry. Numbers that are none are an answer we do not understand. */
static int entry_field(struct entry *e, const char *name, const char *text)
{
	uint64_t number;

	if (strcmp(name, "Key") == 0) {
		keep(&e->key, text);
	} else if (strcmp(name, "UploadId") == 0) {
		keep(&e->upload, text);
	} else if (strcmp(name, "Size") == 0) {
		return str_to_u64(text, INT64_MAX, &e->item.size);
	} else if (strcmp(name, "PartNumber") == 0) {
		if (str_to_u64(text, 10000, &number) < 0)
			return -1;
		e->item.number = (uint32_t)number;
	} else if (strcmp(name, "ETag") == 0) {
		(void)blob_s3_request_etag(e->item.etag, sizeof(e->item.etag), text);
	} else if (strcmp(name, "LastModified") == 0 || strcmp(name, "Initiated") == 0) {
		if (clock_parse_rfc3339(text, &e->item.time) < 0)
			e->item.time = 0;
	}
	return 0;
}

static int page_field(struct page *p, const char *name, const char *text)
{
	if (strcmp(name, p->kind->entry) == 0) {
		if (p->n == PAGE_ENTRIES)
			return -1;
		p->n++;
	} else if (strcmp(name, "IsTruncated") == 0) {
		p->truncated = strcmp(text, "true") == 0;
	} else if (strcmp(name, "EncodingType") == 0) {
		p->encoded = strcmp(text, "url") == 0;
	}
	for (int i = 0; i < 2; i++) {
		if (p->kind->next[i] && strcmp(name, p->kind->next[i]) == 0)
			keep(&p->next[i], text);
	}
	return 0;
}

static int page_element(void *arg, const char *path, const char *text)
{
	struct page *p = arg;
	size_t root = strlen(p->kind->root);
	size_t entry = strlen(p->kind->entry);

	if (strncmp(path, p->kind->root, root) != 0)
		return -1;
	if (path[root] == '\0') {
		p->complete = true;
		return 0;
	}
	const char *name = path + root + 1;
	if (strncmp(name, p->kind->entry, entry) == 0 && name[entry] == '/')
		return entry_field(&p->entries[p->n], name + entry + 1, text);
	return page_field(p, name, text);
}

/* Keys stand encoded in the answer, for XML cannot carry every byte; '+' is a space there. */
static int decode(char **text)
{
	struct buf b;

	buf_init(&b, TEXT_MAX);
	for (char *p = *text; *p; p++) {
		if (*p == '+')
			*p = ' ';
	}
	int rc = uri_decode(&b, *text, strlen(*text));
	if (rc == 0) {
		free(*text);
		*text = buf_take(&b);
	}
	buf_free(&b);
	return rc;
}

static int page_decode(struct page *p)
{
	if (!p->encoded)
		return 0;
	for (size_t i = 0; i < p->n; i++) {
		if (p->entries[i].key && decode(&p->entries[i].key) < 0)
			return -1;
	}
	for (int i = 0; i < 2; i++) {
		if (p->next[i] && p->kind->encoded[i] && decode(&p->next[i]) < 0)
			return -1;
	}
	return 0;
}

static int page_tell(const struct page *p, const struct blob_s3_store *s, blob_s3_list_fn *fn,
	void *arg, struct err *err)
{
	size_t folder = strlen(s->folder);

	for (size_t i = 0; i < p->n; i++) {
		struct entry *e = &p->entries[i];
		if (p->kind != &parts_kind) {
			if (!e->key || strncmp(e->key, s->folder, folder) != 0)
				continue;
			e->item.key = e->key + folder;
		}
		e->item.upload = e->upload;
		int rc = fn(arg, &e->item, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* The markers of the page before, ${from}, go into the request. */
static int page_get(struct blob_s3_call *c, struct page *p, char *const from[2], struct err *err)
{
	struct err why;

	c->answer_max = PAGE_BYTES;
	for (int i = 0; i < 2; i++) {
		if (from[i])
			blob_s3_request_param(c, p->kind->param[i], from[i]);
	}
	if (blob_s3_request_run(c, err) < 0)
		return -1;
	if (c->answer.truncated ||
		xml_parse(c->answer.body.data ? c->answer.body.data : "", c->answer.body.len,
			page_element, p, &why) < 0 ||
		!p->complete || page_decode(p) < 0)
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s sends a listing that is no %s",
			c->store->host, p->kind->root);
	/* A marker that stays would have us ask for ever. */
	if (p->truncated && (!p->next[0] || (from[0] && strcmp(from[0], p->next[0]) == 0 &&
						    str_eq(from[1], p->next[1]))))
		return err_set(err, ERR_UNAVAILABLE, __func__,
			"%s sends a listing that does not go on", c->store->host);
	return 0;
}

/* ${prefix} for objects and uploads, ${key} and ${upload} for parts. */
static int list(struct blob_s3_store *s, const struct kind *kind, const char *prefix,
	const char *key, const char *upload, blob_s3_list_fn *fn, void *arg, struct err *err)
{
	char *from[2] = {NULL, NULL};
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		struct blob_s3_call c;
		struct page p = {.kind = kind};
		p.entries = mem_zalloc((PAGE_ENTRIES + 1) * sizeof(*p.entries));
		blob_s3_request_init(&c, "GET", key, s);
		if (kind == &objects_kind)
			blob_s3_request_param(&c, "list-type", "2");
		if (kind == &uploads_kind)
			blob_s3_request_param(&c, "uploads", "");
		if (kind == &parts_kind) {
			blob_s3_request_param(&c, "uploadId", upload);
		} else {
			struct buf full;
			buf_init(&full, TEXT_MAX);
			rc = buf_printf(&full, "%s%s", s->folder, prefix);
			blob_s3_request_param(&c, "prefix", buf_str(&full));
			blob_s3_request_param(&c, "encoding-type", "url");
			buf_free(&full);
		}
		rc = rc < 0 ? err_set(err, ERR_INVALID, __func__, "the prefix is too long")
			    : page_get(&c, &p, from, err);
		if (rc == 0)
			rc = page_tell(&p, s, fn, arg, err);
		more = p.truncated;
		for (int i = 0; i < 2; i++) {
			free(from[i]);
			from[i] = p.next[i];
			p.next[i] = NULL;
		}
		page_free(&p);
		blob_s3_request_free(&c);
	}
	free(from[0]);
	free(from[1]);
	return rc < 0 ? -1 : 0;
}

int blob_s3_list_objects(struct blob_s3_store *s, const char *prefix, blob_s3_list_fn *fn,
	void *arg, struct err *err)
{
	return list(s, &objects_kind, prefix, NULL, NULL, fn, arg, err);
}

int blob_s3_list_uploads(struct blob_s3_store *s, const char *prefix, blob_s3_list_fn *fn,
	void *arg, struct err *err)
{
	return list(s, &uploads_kind, prefix, NULL, NULL, fn, arg, err);
}

int blob_s3_list_parts(struct blob_s3_store *s, const char *key, const char *upload,
	blob_s3_list_fn *fn, void *arg, struct err *err)
{
	return list(s, &parts_kind, NULL, key, upload, fn, arg, err);
}
