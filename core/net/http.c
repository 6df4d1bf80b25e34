/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/http.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/net/http_curl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 5000
#define STALL_MS 30000
#define REQUEST_MS 60000
#define BODY_MAX ((size_t)256 << 10)
#define IDLE_MAX 64
#define AGAIN_MAX 2
#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 5000
#define RETRY_AFTER_MAX_S 86400

struct net_http {
	struct net_http_options options;
	char *ca_file;
	char *proxy;
	pthread_mutex_t mutex; /* for the two below */
	void *idle[IDLE_MAX];  /* the last one used is the first one used again: its connections
				  are the least likely to have been closed */
	size_t nidle;
};

static char *text_or_null(const char *s)
{
	return s && s[0] != '\0' ? mem_strdup(s) : NULL;
}

struct net_http *net_http_new(const struct net_http_options *o)
{
	struct net_http *h = mem_zalloc(sizeof *h);
	h->ca_file = text_or_null(o->ca_file);
	h->proxy = text_or_null(o->proxy);
	h->options = (struct net_http_options){
		.ca_file = h->ca_file,
		.proxy = h->proxy,
		.connect_ms = o->connect_ms > 0 ? o->connect_ms : CONNECT_MS,
		.stall_ms = o->stall_ms > 0 ? o->stall_ms : STALL_MS,
	};
	if (pthread_mutex_init(&h->mutex, NULL) != 0)
		abort();
	return h;
}

void net_http_free(struct net_http *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->nidle; i++)
		http_curl_close(h->idle[i]);
	(void)pthread_mutex_destroy(&h->mutex);
	free(h->ca_file);
	free(h->proxy);
	free(h);
}

static void *take_handle(struct net_http *h)
{
	void *handle = NULL;
	pthread_mutex_lock(&h->mutex);
	if (h->nidle > 0)
		handle = h->idle[--h->nidle];
	pthread_mutex_unlock(&h->mutex);
	return handle ? handle : http_curl_open();
}

static void give_handle(struct net_http *h, void *handle)
{
	pthread_mutex_lock(&h->mutex);
	if (h->nidle < IDLE_MAX) {
		h->idle[h->nidle++] = handle;
		handle = NULL;
	}
	pthread_mutex_unlock(&h->mutex);
	if (handle)
		http_curl_close(handle);
}

void net_request_init(struct net_request *r, const char *method, const char *url)
{
	*r = (struct net_request){.method = method, .url = url};
	net_headers_init(&r->headers);
}

void net_request_free(struct net_request *r)
{
	net_headers_free(&r->headers);
	mem_free_secret(r->signed_url);
	r->signed_url = NULL;
}

void net_response_init(struct net_response *a, size_t body_max)
{
	*a = (struct net_response){0};
	net_headers_init(&a->headers);
	/* Answers bring keys and tokens, too. */
	buf_init_secret(&a->body, body_max > 0 ? body_max : BODY_MAX);
}

void net_response_free(struct net_response *a)
{
	net_headers_free(&a->headers);
	buf_free(&a->body);
}

static bool is_passing(int status)
{
	return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

/* Milliseconds that the answer asks to wait; 0: it does not say, or gives a date. */
static int64_t asked_pause(const struct net_response *a)
{
	const char *after = net_headers_get(&a->headers, "Retry-After");
	uint64_t seconds;
	if (!after || str_to_u64(after, RETRY_AFTER_MAX_S, &seconds) != 0)
		return 0;
	return (int64_t)seconds * 1000;
}

/* One try with a handle of the pool. */
static int attempt(
	struct net_http *h, struct net_request *r, struct http_curl_try *t, struct err *err)
{
	if (clock_mono_ms() >= t->deadline_ms)
		return err_set(err, ERR_UNAVAILABLE, __func__, "no time is left for a request");
	if (r->stop && r->stop(r->stop_arg))
		return err_set(err, ERR_INTERRUPTED, __func__, "a request was asked to end");
	if (r->sign && r->sign(r->sign_arg, r, clock_now(), err) != 0)
		return -1;
	void *handle = take_handle(h);
	if (!handle)
		return err_set(err, ERR_UNAVAILABLE, __func__, "no memory for a request");
	int rc = http_curl_try(handle, t, err);
	give_handle(h, handle);
	return rc;
}

int net_http_send(
	struct net_http *h, struct net_request *r, struct net_response *a, struct err *err)
{
	if (http_curl_load(err) != 0)
		return -1;
	struct http_curl_try t = {
		.options = &h->options,
		.request = r,
		.answer = a,
		.deadline_ms = r->deadline_ms ? r->deadline_ms : clock_mono_ms() + REQUEST_MS,
	};
	int64_t step = PAUSE_FIRST_MS;
	int again = 0;
	for (a->tries = 1;; a->tries++) {
		struct err failed = {0};
		int64_t pause = 0;
		t.sunk = false;
		t.repeat = false;
		int rc = attempt(h, r, &t, &failed);
		bool repeat = rc == 0 ? is_passing(a->status) : t.repeat;
		if (rc == 0 && r->again && again < AGAIN_MAX && !t.sunk &&
			clock_mono_ms() < t.deadline_ms && r->again(r->again_arg, r, a)) {
			again++;
			continue;
		}
		if (rc == 0 && repeat)
			pause = asked_pause(a);
		int64_t jitter = (int64_t)random_below((uint64_t)step + 1);
		pause = pause > jitter ? pause : jitter;
		if (!r->idempotent || !repeat || t.sunk ||
			clock_mono_ms() + pause >= t.deadline_ms) {
			if (rc != 0 && err)
				*err = failed;
			return rc;
		}
		clock_sleep_ms(pause);
		step = step * 2 < PAUSE_MAX_MS ? step * 2 : PAUSE_MAX_MS;
	}
}

enum err_code net_http_meaning(int status)
{
	switch (status) {
	case 401:
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	case 413:
		return ERR_TOO_LARGE;
	case 501:
		return ERR_UNSUPPORTED;
	case 408:
	case 429:
		return ERR_UNAVAILABLE;
	default:
		return status >= 500 ? ERR_UNAVAILABLE : ERR_IO;
	}
}
