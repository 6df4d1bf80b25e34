/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/http_curl.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/trace.h"
#include "core/net/uri.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LIBRARY "libcurl.so.4"
#define FIELDS_MAX 100
#define HEAD_MAX ((size_t)64 << 10)
/* libcurl's own buffers are 16 and 64 KiB: large bodies take fewer calls with these. */
#define LARGE_BUFFER ((size_t)256 << 10)
#define UNHEARD_MS 10000U

struct api {
	__typeof__(curl_global_init_mem) *global_init_mem;
	__typeof__(curl_easy_init) *easy_init;
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_easy_reset) *easy_reset;
	__typeof__(curl_easy_setopt) *easy_setopt;
	__typeof__(curl_easy_getinfo) *easy_getinfo;
	__typeof__(curl_easy_perform) *easy_perform;
	__typeof__(curl_easy_strerror) *easy_strerror;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free_all;
};

/* Written once, by the first request of the process. */
static struct api api;
static bool loaded;
static char load_failure[160];
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

static bool find(void *library, const char *name, void *out)
{
	/* ISO C knows no conversion from an object pointer to a function pointer. */
	void *symbol = dlsym(library, name);
	memcpy(out, &symbol, sizeof symbol);
	if (!symbol)
		(void)str_copy(load_failure, sizeof load_failure, name);
	return symbol != NULL;
}

static void load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		const char *why = dlerror();
		(void)str_copy(load_failure, sizeof load_failure, why ? why : "cannot be loaded");
		return;
	}
	if (!find(library, "curl_global_init_mem", &api.global_init_mem) ||
		!find(library, "curl_easy_init", &api.easy_init) ||
		!find(library, "curl_easy_cleanup", &api.easy_cleanup) ||
		!find(library, "curl_easy_reset", &api.easy_reset) ||
		!find(library, "curl_easy_setopt", &api.easy_setopt) ||
		!find(library, "curl_easy_getinfo", &api.easy_getinfo) ||
		!find(library, "curl_easy_perform", &api.easy_perform) ||
		!find(library, "curl_easy_strerror", &api.easy_strerror) ||
		!find(library, "curl_slist_append", &api.slist_append) ||
		!find(library, "curl_slist_free_all", &api.slist_free_all))
		return;
	/* Tokens and keys stand in its buffers. */
	if (api.global_init_mem(CURL_GLOBAL_DEFAULT, malloc, mem_wiping_free, mem_wiping_realloc,
		    strdup, calloc) == CURLE_OK)
		loaded = true;
	else
		(void)str_copy(load_failure, sizeof load_failure, "it does not start");
}

int http_curl_load(struct err *err)
{
	if (pthread_once(&load_once, load) != 0 || !loaded)
		return err_set(err, ERR_UNAVAILABLE, __func__,
			"the library " LIBRARY ", which requests over HTTP need, is not usable: %s",
			load_failure);
	return 0;
}

void *http_curl_open(void)
{
	return api.easy_init();
}

void http_curl_close(void *handle)
{
	api.easy_cleanup(handle);
}

static const char *url_of(const struct net_request *r)
{
	return r->signed_url ? r->signed_url : r->url;
}

/* What the callbacks of one try share. */
struct work {
	struct http_curl_try *t;
	CURL *easy;
	CURLcode rc; /* of the options */
	struct curl_slist *fields;
	struct uri uri;
	size_t head_bytes;
	bool head_done;
	bool head_too_large;
	bool sink_failed;
	bool under_way; /* connected: silence counts */
	bool stalled;
	bool stopped;
	bool lost; /* the connection, after the request was sent */
	curl_off_t moved;
	int64_t moved_at;
	char cause[CURL_ERROR_SIZE];
};

static long status_of(const struct work *w)
{
	long status = 0;
	(void)api.easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t trim(const char **s, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", **s)) {
		(*s)++;
		len--;
	}
	while (len > 0 && strchr(" \t\r\n", (*s)[len - 1]))
		len--;
	return len;
}

static void add_field(struct work *w, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	if (!colon || colon == line)
		return;
	const char *value = colon + 1;
	size_t value_len = trim(&value, len - (size_t)(value - line));
	char *name = mem_strndup(line, (size_t)(colon - line));
	char *text = mem_strndup(value, value_len);
	net_headers_add(&w->t->answer->headers, name, text);
	free(text);
	free(name);
}

static size_t on_header(char *line, size_t one, size_t len, void *arg)
{
	(void)one;
	struct work *w = arg;
	struct net_headers *h = &w->t->answer->headers;
	if (w->head_done) /* trailer fields behind a chunked body mean nothing to us */
		return len;
	w->head_bytes += len;
	w->head_too_large = w->head_bytes > HEAD_MAX || (h->n >= FIELDS_MAX && len > 2);
	if (w->head_too_large)
		return 0;
	/* An interim answer (1xx) comes before the real one. */
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
		net_headers_free(h);
	else if (len <= 2)
		w->head_done = status_of(w) >= 200;
	else
		add_field(w, line, len);
	return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	(void)one;
	struct work *w = arg;
	struct net_response *a = w->t->answer;
	const struct net_request *r = w->t->request;
	if (len == 0)
		return 0;
	if (r->sink && status_of(w) / 100 == 2) {
		w->t->sunk = true;
		w->sink_failed = r->sink(r->sink_arg, data, len) != 0;
		return w->sink_failed ? 0 : len;
	}
	size_t room = a->body.max - a->body.len;
	size_t part = len < room ? len : room;
	a->truncated = buf_add(&a->body, data, part) != 0 || part < len;
	/* Too much ends the transfer: nobody knows how much is still to come. */
	return a->truncated ? 0 : len;
}

/* Called right before the request is sent, on a new connection and on one that was kept. */
static int on_connected(void *arg, char *peer, char *own, int peer_port, int own_port)
{
	(void)peer, (void)own, (void)peer_port, (void)own_port;
	struct work *w = arg;
	/*
	 * The second call: a connection that was kept turned out closed, and libcurl means to send
	 * the request once more. Nobody knows whether the first one was heeded.
	 */
	w->lost = w->under_way && !w->t->request->idempotent;
	if (w->lost)
		return CURL_PREREQFUNC_ABORT;
	if (w->under_way)
		w->t->answer->tries++;
	w->under_way = true;
	w->moved_at = clock_mono_ms();
	return CURL_PREREQFUNC_OK;
}

/* Called at each movement, and once a second. */
static int on_progress(
	void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	(void)dltotal, (void)ultotal;
	struct work *w = arg;
	int64_t now = clock_mono_ms();
	if (dlnow + ulnow != w->moved) {
		w->moved = dlnow + ulnow;
		w->moved_at = now;
	}
	w->stalled = w->under_way && now - w->moved_at >= w->t->options->stall_ms;
	const struct net_request *r = w->t->request;
	w->stopped = r->stop && r->stop(r->stop_arg);
	return w->stalled || w->stopped ? 1 : 0;
}

#define SET(w, option, value)                                                    \
	do {                                                                     \
		if ((w)->rc == CURLE_OK)                                         \
			(w)->rc = api.easy_setopt((w)->easy, (option), (value)); \
	} while (0)

/*
 * Where a line is cut nobody tells, and TCP sends again after ever longer pauses: a connection that
 * is kept for the next request would cost that one all its time. tcp(7), RFC 5482.
 */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	unsigned ms = UNHEARD_MS;
	(void)arg;
	if (purpose == CURLSOCKTYPE_IPCXN)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
	return CURL_SOCKOPT_OK;
}

static void set_connection(struct work *w)
{
	const struct net_http_options *o = w->t->options;
	int64_t left = w->t->deadline_ms - clock_mono_ms();
	SET(w, CURLOPT_NOSIGNAL, 1L);
	SET(w, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(w, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(w, CURLOPT_FOLLOWLOCATION, 0L);
	SET(w, CURLOPT_TCP_NODELAY, 1L);
	SET(w, CURLOPT_SOCKOPTFUNCTION, on_socket);
	SET(w, CURLOPT_PROXY, o->proxy ? o->proxy : "");
	SET(w, CURLOPT_NOPROXY, "");
	SET(w, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(w, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(w, CURLOPT_SSL_VERIFYHOST, 2L);
	if (o->ca_file) {
		SET(w, CURLOPT_CAINFO, o->ca_file);
		SET(w, CURLOPT_CAPATH, (char *)NULL);
	}
	SET(w, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms);
	SET(w, CURLOPT_TIMEOUT_MS, (long)(left > 0 ? left : 1));
	SET(w, CURLOPT_ERRORBUFFER, w->cause);
	SET(w, CURLOPT_PREREQFUNCTION, on_connected);
	SET(w, CURLOPT_PREREQDATA, w);
	SET(w, CURLOPT_NOPROGRESS, 0L);
	SET(w, CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(w, CURLOPT_XFERINFODATA, w);
	SET(w, CURLOPT_HEADERFUNCTION, on_header);
	SET(w, CURLOPT_HEADERDATA, w);
	SET(w, CURLOPT_WRITEFUNCTION, on_body);
	SET(w, CURLOPT_WRITEDATA, w);
}

static int set_method(struct work *w, struct err *err)
{
	const struct net_request *r = w->t->request;
	if (strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0) {
		/*
		 * A PUT goes the way of a POST, too: its body can be sent again from memory without
		 * callbacks, and a small one leaves in one packet with the head.
		 */
		SET(w, CURLOPT_POST, 1L);
		SET(w, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		SET(w, CURLOPT_POSTFIELDS, r->body_len > 0 ? (const char *)r->body : "");
		SET(w, CURLOPT_CUSTOMREQUEST, r->method);
		if (r->body_len >= LARGE_BUFFER)
			SET(w, CURLOPT_UPLOAD_BUFFERSIZE, (long)LARGE_BUFFER);
		return 0;
	}
	if (r->body_len > 0)
		return err_set(err, ERR_INVALID, __func__, "a %s with a body", r->method);
	if (strcmp(r->method, "HEAD") == 0) {
		SET(w, CURLOPT_NOBODY, 1L);
	} else if (strcmp(r->method, "GET") == 0) {
		SET(w, CURLOPT_HTTPGET, 1L);
		if (r->sink)
			SET(w, CURLOPT_BUFFERSIZE, (long)LARGE_BUFFER);
	} else if (strcmp(r->method, "DELETE") == 0) {
		SET(w, CURLOPT_HTTPGET, 1L);
		SET(w, CURLOPT_CUSTOMREQUEST, r->method);
	} else {
		return err_set(err, ERR_INVALID, __func__, "no method called %s", r->method);
	}
	return 0;
}

static void append_field(struct work *w, const char *line)
{
	struct curl_slist *longer = api.slist_append(w->fields, line);
	if (longer)
		w->fields = longer;
	else
		w->rc = CURLE_OUT_OF_MEMORY;
}

/* Behind the signature: what stands on the way may change these. */
static void set_trace(struct work *w)
{
	const struct trace_context *c = trace_current();
	char line[sizeof("traceparent: ") + TRACE_STATE_MAX];
	char parent[TRACE_PARENT_SIZE];
	if (!c)
		return;
	(void)snprintf(line, sizeof(line), "traceparent: %s", trace_format(c, parent));
	append_field(w, line);
	if (c->state[0] == '\0')
		return;
	(void)snprintf(line, sizeof(line), "tracestate: %s", c->state);
	append_field(w, line);
}

static void set_fields(struct work *w)
{
	const struct net_headers *h = &w->t->request->headers;
	/* libcurl would add these; the first one costs a round trip. */
	append_field(w, "Expect:");
	if (!net_headers_get(h, "Content-Type"))
		append_field(w, "Content-Type:");
	if (!net_headers_get(h, "Accept"))
		append_field(w, "Accept:");
	struct buf line;
	buf_init_secret(&line, HEAD_MAX);
	for (size_t i = 0; i < h->n; i++) {
		const struct net_header *f = &h->items[i];
		if (str_eq_ci(f->name, "Content-Length")) /* libcurl's own is right */
			continue;
		/* "Name:" would take a field away, "Name;" is one without a value. */
		(void)buf_add_str(&line, f->name);
		(void)buf_add_str(&line, f->value[0] != '\0' ? ": " : ";");
		if (buf_add_str(&line, f->value) == 0)
			append_field(w, line.data);
		else
			w->rc = CURLE_OUT_OF_MEMORY;
		buf_reset(&line);
	}
	buf_free(&line);
	set_trace(w);
	SET(w, CURLOPT_HTTPHEADER, w->fields);
}

static void free_fields(struct work *w)
{
	for (struct curl_slist *f = w->fields; f; f = f->next)
		mem_wipe(f->data, strlen(f->data));
	api.slist_free_all(w->fields);
}

/* The error of a try that brought no answer. */
static int failure(struct work *w, CURLcode rc, struct err *err)
{
	enum err_code code = ERR_UNAVAILABLE;
	const char *cause = api.easy_strerror(rc);
	bool passing = true;
	switch (rc) {
	case CURLE_URL_MALFORMAT:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CERTPROBLEM:
		code = ERR_INVALID;
		passing = false;
		break;
	case CURLE_UNSUPPORTED_PROTOCOL: /* the URL's was looked at before */
		cause = "the answer is not HTTP";
		break;
	case CURLE_ABORTED_BY_CALLBACK:
		cause = w->stalled ? "nothing was sent or received for too long"
				   : "the connection ended before an answer came";
		break;
	case CURLE_OPERATION_TIMEDOUT:
		cause = w->under_way ? "no answer in time" : "no connection in time";
		break;
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
		cause = "the connection ended before the whole answer had come";
		break;
	default:
		break;
	}
	if (w->sink_failed) {
		code = ERR_INTERRUPTED;
		cause = "the receiver of the answer ended it";
		passing = false;
	} else if (w->stopped) {
		code = ERR_INTERRUPTED;
		cause = "it was asked to end";
		passing = false;
	} else if (w->head_too_large) {
		cause = "the answer has too many header fields";
		passing = false;
	}
	/* Only in these does libcurl's own sentence say more, and never quote a URL or a field. */
	bool detailed = rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CONNECT_ERROR ||
			rc == CURLE_SSL_CACERT_BADFILE || rc == CURLE_COULDNT_RESOLVE_HOST;
	if (detailed && w->cause[0] != '\0')
		cause = w->cause;
	w->t->repeat = passing;
	return err_set(err, code, __func__, "%s:%u: %s", w->uri.host, w->uri.port, cause);
}

static int perform(struct work *w, struct err *err)
{
	struct net_response *a = w->t->answer;
	set_connection(w);
	SET(w, CURLOPT_URL, url_of(w->t->request));
	SET(w, CURLOPT_PATH_AS_IS, 1L);
	if (set_method(w, err) != 0)
		return -1;
	set_fields(w);
	if (w->rc != CURLE_OK)
		return err_set(err, ERR_UNAVAILABLE, __func__, LIBRARY " refuses an option: %s",
			api.easy_strerror(w->rc));
	CURLcode rc = api.easy_perform(w->easy);
	/* libcurl takes a connection's end for the end of the head, too. */
	if (rc == CURLE_OK && !w->head_done)
		rc = CURLE_GOT_NOTHING;
	if (rc != CURLE_OK && !(rc == CURLE_WRITE_ERROR && a->truncated))
		return failure(w, rc, err);
	a->status = (int)status_of(w);
	return 0;
}

int http_curl_try(void *handle, struct http_curl_try *t, struct err *err)
{
	t->sunk = false;
	t->repeat = false;
	t->answer->status = 0;
	t->answer->truncated = false;
	net_headers_free(&t->answer->headers);
	buf_reset(&t->answer->body);
	struct work w = {.t = t, .easy = handle, .rc = CURLE_OK};
	/* libcurl mends what is not quite a URL; a signature would no longer fit. */
	if (uri_parse(url_of(t->request), &w.uri, err) != 0)
		return -1;
	int rc = perform(&w, err);
	/* The connection stays; what points to this request goes. */
	api.easy_reset(handle);
	free_fields(&w);
	uri_free(&w.uri);
	return rc;
}
