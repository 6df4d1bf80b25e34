/* SPDX-License-Identifier: Apache-2.0 */
/* List Blobs (https://learn.microsoft.com/rest/api/storageservices/list-blobs), page by page. */
#include "backends/blob_azure_request.h"
#include "backends/blob_azure_store.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "core/net/xml.h"

#include <string.h>

#define PAGE_BROKEN 2
#define PAGE_MAX ((size_t)16 << 20) /* a thousand names with their properties: 1 to 5 MiB */
#define QUERY_MAX ((size_t)16 << 10)
#define MARKER_MAX ((size_t)8 << 10)
#define NAME_MAX_BYTES ((size_t)8 << 10)

struct listing {
	const struct blob_azure_store *s;
	blob_list_fn *fn;
	void *arg;
	bool stopped; /* by fn */
	bool bad;
	struct buf name;
	struct buf marker; /* of the next page, "" after the last one */
	struct blob_stat st;
};

#define BLOB_PATH "EnumerationResults/Blobs/Blob"

static int end_blob(struct listing *l)
{
	const char *key = buf_str(&l->name);
	size_t prefix = strlen(l->s->prefix);

	if (!str_starts(key, l->s->prefix))
		return 0;
	/* Names that are no keys were not made by us and cannot be asked for. */
	if (!blob_key_valid(key + prefix))
		return 0;
	if (l->fn(l->arg, key + prefix, &l->st) < 0) {
		l->stopped = true;
		return -1;
	}
	return 0;
}

static int take_element(void *arg, const char *path, const char *text)
{
	struct listing *l = arg;

	if (str_eq(path, "EnumerationResults/NextMarker")) {
		buf_reset(&l->marker);
		l->bad = l->bad || buf_add_str(&l->marker, text) < 0;
	} else if (str_eq(path, BLOB_PATH "/Name")) {
		buf_reset(&l->name);
		l->bad = l->bad || buf_add_str(&l->name, text) < 0;
	} else if (str_eq(path, BLOB_PATH "/Properties/Content-Length")) {
		l->bad = l->bad || str_to_u64(text, INT64_MAX, &l->st.size) < 0;
	} else if (str_eq(path, BLOB_PATH "/Properties/Last-Modified")) {
		if (clock_parse_http_date(text, &l->st.mtime) < 0)
			l->st.mtime = 0;
	} else if (str_eq(path, BLOB_PATH "/Properties/Etag")) {
		size_t len = strlen(text);
		/* Here it has no quotes; as a field of an answer it has. */
		if (len < sizeof(l->st.etag))
			memcpy(l->st.etag, text, len + 1);
	} else if (str_eq(path, BLOB_PATH)) {
		if (!l->bad && end_blob(l) < 0)
			return -1;
		buf_reset(&l->name);
		memset(&l->st, 0, sizeof(l->st));
	}
	return l->bad ? -1 : 0;
}

static int look_at_element(void *arg, const char *path, const char *text)
{
	(void)text;
	/* Closed last: a listing that was cut off does not have it. */
	*(bool *)arg = str_eq(path, "EnumerationResults");
	return 0;
}

/* Give out a page. -1: it makes no sense, and nothing was given out. */
static int read_page(struct listing *l, const struct blob_azure_call *c)
{
	const char *body = buf_str(&c->a.body);
	size_t len = c->a.body.len;
	bool whole = false;
	struct err ignored;

	if (str_starts(body, "\xef\xbb\xbf")) {
		body += 3;
		len -= 3;
	}
	/* Nobody is to be told of half a page that will be asked for again. */
	if (c->a.truncated || xml_parse(body, len, look_at_element, &whole, &ignored) < 0 || !whole)
		return -1;
	buf_reset(&l->marker);
	buf_reset(&l->name);
	memset(&l->st, 0, sizeof(l->st));
	/* What ends it early is told by `stopped` or `bad`. */
	(void)xml_parse(body, len, take_element, l, &ignored);
	return 0;
}

/*
 * One page from l->marker. 1: there may be more, 0: that was all, -1: error, PAGE_BROKEN: worth
 * another try.
 */
static int list_page(
	struct listing *l, struct blob_azure_store *s, const char *prefix, struct err *err)
{
	struct blob_azure_call c;
	struct buf query;
	int rc = -1;

	buf_init(&query, QUERY_MAX);
	buf_add_str(&query, "restype=container&comp=list&maxresults=1000&prefix=");
	uri_encode(&query, s->prefix);
	uri_encode(&query, prefix);
	/* A listing of "a/b" is of what lies below it; "a/bc" does not. */
	if (*prefix)
		buf_add_str(&query, "%2F");
	if (l->marker.len > 0) {
		buf_add_str(&query, "&marker=");
		uri_encode(&query, buf_str(&l->marker));
	}
	if (query.overflow) {
		buf_free(&query);
		return err_set(err, ERR_INVALID, __func__, "the prefix is too long");
	}
	blob_azure_call_init(&c, s, "GET", NULL, buf_str(&query));
	buf_free(&query);
	blob_azure_call_body_max(&c, PAGE_MAX);
	if (blob_azure_call_send(&c, err) < 0)
		goto out;
	if (blob_azure_call_missing(&c)) {
		rc = 0;
		goto out;
	}
	if (!blob_azure_call_ok(&c)) {
		blob_azure_call_fail(&c, "list", err);
		goto out;
	}
	if (read_page(l, &c) < 0)
		rc = PAGE_BROKEN;
	else if (!l->bad)
		rc = !l->stopped && l->marker.len > 0 ? 1 : 0;
	if (rc < 0 || rc == PAGE_BROKEN)
		err_set(err, ERR_UNAVAILABLE, __func__,
			"container %s: a listing that makes no sense", s->container);
out:
	blob_azure_call_free(&c);
	return rc;
}

int blob_azure_list(
	struct blob_store *base, const char *prefix, blob_list_fn *fn, void *arg, struct err *err)
{
	struct blob_azure_store *s = (struct blob_azure_store *)base;
	struct listing l = {.s = s, .fn = fn, .arg = arg};
	struct blob_stat st;
	int rc;

	/* The object that is called like the folder. */
	if (*prefix) {
		rc = base->backend->stat(base, prefix, &st, err);
		if (rc < 0 && err->code != ERR_NOT_FOUND)
			return -1;
		if (rc == 0 && fn(arg, prefix, &st) < 0)
			return 0;
	}
	buf_init(&l.name, NAME_MAX_BYTES);
	buf_init(&l.marker, MARKER_MAX);
	int tries = 0;
	do {
		rc = list_page(&l, s, prefix, err);
		tries = rc == PAGE_BROKEN ? tries + 1 : 0;
	} while (rc == 1 || (rc == PAGE_BROKEN && tries < BLOB_AZURE_TRIES));
	buf_free(&l.name);
	buf_free(&l.marker);
	return rc == PAGE_BROKEN ? -1 : rc;
}
