/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/jwks.h"

#include "core/auth/discovery.h"
#include "core/auth/jwks_fetch.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/state.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)
#define PROBE_MS 2000
#define POLL_MS 25
#define NAME_MAX_BYTES 96
#define DOC_MAX (JWK_SET_MAX + 128)
#define MARK_MAX 64

static const struct jwks_times usual = {
	.refresh = HOUR_MS / 4,
	.keep = 24 * HOUR_MS,
	.pause = 60000,
	.retry = 5000,
	.look = 5000,
	.fetch = 5000,
};

/*
 * A client sends the same token again and again, and to check its signature costs more than all the
 * rest. So each set of keys remembers the SHA-256 of tokens that it has found good; with the set
 * they are forgotten. Claims are judged anew each time.
 */
#define SEEN 1024

struct keys { /* shared by who verifies with them; freed by the last one */
	unsigned users;
	int64_t fetched_at; /* wall clock */
	struct jwk_set set;
	unsigned char seen[SEEN][DIGEST_SHA256_SIZE]; /* all zero: none; under the mutex */
};

struct jwks {
	char *issuer;
	struct jwks_times times;
	struct net_http *http;
	struct state *state;
	char keys_name[NAME_MAX_BYTES], fetch_name[NAME_MAX_BYTES];

	pthread_mutex_t mutex; /* all below */
	struct keys *keys;     /* NULL: none yet */
	bool looked;           /* looked_ms means something */
	int64_t looked_ms;     /* monotonic, of the last look into the state store */
};

struct jwks *jwks_new(const char *issuer, const struct jwks_times *times, struct net_http *http,
	struct state *state)
{
	struct jwks *j = mem_zalloc(sizeof *j);
	char hash[DIGEST_SHA256_HEX];
	digest_sha256_hex(issuer, strlen(issuer), hash);
	(void)snprintf(j->keys_name, sizeof j->keys_name, "oauth/keys/%s", hash);
	(void)snprintf(j->fetch_name, sizeof j->fetch_name, "oauth/fetch/%s", hash);
	j->issuer = mem_strdup(issuer);
	j->times = times ? *times : usual;
	j->http = http;
	j->state = state;
	pthread_mutex_init(&j->mutex, NULL);
	return j;
}

static void let_go(struct jwks *j, struct keys *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&j->mutex);
	bool last = --k->users == 0;
	pthread_mutex_unlock(&j->mutex);
	if (last) {
		jwk_set_free(&k->set);
		free(k);
	}
}

void jwks_free(struct jwks *j)
{
	if (!j)
		return;
	let_go(j, j->keys);
	pthread_mutex_destroy(&j->mutex);
	free(j->issuer);
	free(j);
}

/* --- the keys at hand --- */

/* Of the document in the state store; NULL: it holds none. */
static struct keys *read_document(const struct buf *text)
{
	struct keys *k = NULL;
	struct buf set;
	json_t *doc = json_parse(buf_str(text), text->len, NULL);
	const json_t *fetched = doc ? json_object_get(doc, "fetched_at") : NULL;
	buf_init(&set, JWK_SET_MAX);
	if (json_is_integer(fetched) && json_write(&set, json_object_get(doc, "jwks")) == 0) {
		k = mem_zalloc(sizeof *k);
		k->users = 1;
		k->fetched_at = json_integer_value(fetched);
		if (jwk_set_parse(buf_str(&set), set.len, &k->set, NULL) < 0) {
			free(k);
			k = NULL;
		}
	}
	buf_free(&set);
	json_decref(doc);
	return k;
}

static int begin_document(struct buf *out, int64_t fetched_at)
{
	return buf_printf(out, "{\"fetched_at\":%" PRId64 ",\"jwks\":", fetched_at);
}

/* What the state store has, unless it is what was fetched at ${known}; NULL: nothing new. */
static struct keys *load(struct jwks *j, int64_t known)
{
	struct keys *k = NULL;
	struct buf text, begin;
	buf_init(&text, DOC_MAX);
	buf_init(&begin, MARK_MAX);
	(void)begin_document(&begin, known);
	if (state_kv_get(j->state, j->keys_name, clock_now(), &text, NULL) == STATE_OK &&
		!str_starts(buf_str(&text), buf_str(&begin)))
		k = read_document(&text);
	buf_free(&begin);
	buf_free(&text);
	return k;
}

/* Make ${k} the keys at hand unless they are older than those; it is taken over. */
static void put(struct jwks *j, struct keys *k)
{
	struct keys *old = k;
	pthread_mutex_lock(&j->mutex);
	/* From the future: the clock was put back. */
	if (!j->keys || k->fetched_at > j->keys->fetched_at || j->keys->fetched_at > clock_now()) {
		old = j->keys;
		j->keys = k;
	}
	pthread_mutex_unlock(&j->mutex);
	let_go(j, old);
}

/*
 * The keys to verify with now, for let_go; NULL: none that are young enough. ${anew}: look into the
 * state store in any case. Where that is out of reach the process goes on with what it has.
 */
static struct keys *take(struct jwks *j, bool anew)
{
	int64_t now_ms = clock_mono_ms();
	pthread_mutex_lock(&j->mutex);
	bool look = anew || !j->keys || !j->looked || now_ms - j->looked_ms >= j->times.look;
	j->looked = true;
	if (look)
		j->looked_ms = now_ms;
	int64_t known = j->keys ? j->keys->fetched_at : 0;
	pthread_mutex_unlock(&j->mutex);
	struct keys *k = look ? load(j, known) : NULL;
	if (k)
		put(j, k);
	pthread_mutex_lock(&j->mutex);
	k = j->keys;
	if (k && clock_now() - k->fetched_at > j->times.keep * CLOCK_US_PER_MS)
		k = NULL;
	if (k)
		k->users++;
	pthread_mutex_unlock(&j->mutex);
	return k;
}

/* --- fetching --- */

/* Tell all processes how the fetch ended, and when the next one may be. */
static void mark(struct jwks *j, const char *outcome, int64_t until)
{
	struct err err = {0};
	if (state_kv_set(j->state, j->fetch_name, outcome, strlen(outcome), until, &err) < 0)
		LOG(LOG_LEVEL_WARN, "the state of the issuer's keys was not told", log_err(&err));
}

/* We have the right to fetch, since ${began}. */
static int fetch(struct jwks *j, int64_t began, int64_t limit_ms, bool have_keys, struct err *err)
{
	struct buf set, doc;
	struct err lost = {0};
	int rc = -1;
	buf_init(&set, JWK_SET_MAX);
	buf_init(&doc, DOC_MAX);
	if (jwks_fetch(j->http, j->issuer, clock_mono_ms() + limit_ms, &set, err) < 0)
		goto out;
	if (begin_document(&doc, began) < 0 || buf_add(&doc, set.data, set.len) < 0 ||
		buf_add_char(&doc, '}') < 0) {
		err_set(err, ERR_TOO_LARGE, __func__, "the issuer's key set is too large");
		goto out;
	}
	struct keys *k = read_document(&doc);
	if (!k) {
		err_set(err, ERR_UNAVAILABLE, __func__,
			"no key of the issuer's key set can be used");
		goto out;
	}
	put(j, k);
	/* Other processes will have to fetch them, too; this one can work. */
	if (state_kv_set(j->state, j->keys_name, doc.data, doc.len,
		    began + j->times.keep * CLOCK_US_PER_MS, &lost) < 0)
		LOG(LOG_LEVEL_WARN, "the issuer's keys were not kept", log_err(&lost));
	rc = 0;
out:
	mark(j, rc == 0 ? "ok" : "failed",
		began + (rc == 0 || have_keys ? j->times.pause : j->times.retry) * CLOCK_US_PER_MS);
	buf_free(&set);
	buf_free(&doc);
	return rc;
}

/* Wait until the process that has been fetching since ${began} is done; true: it went well. */
static bool await(struct jwks *j, int64_t began)
{
	struct buf value;
	bool done = false, good = false;
	int64_t until = began + 2 * j->times.fetch * CLOCK_US_PER_MS;
	buf_init(&value, MARK_MAX);
	for (int64_t now = clock_now(); !done && now < until && now >= began; now = clock_now()) {
		clock_sleep_ms(POLL_MS);
		if (state_kv_get(j->state, j->fetch_name, now, &value, NULL) != STATE_OK)
			break;
		done = !str_starts(buf_str(&value), "run ");
		good = str_eq(buf_str(&value), "ok");
	}
	buf_free(&value);
	return good;
}

enum fetched {
	FETCHED,
	FETCH_FAILED,   /* now, by us */
	FETCHED_LATELY, /* within the pause */
	FAILED_LATELY,  /* the same, or nobody knows */
};

/* What ${value} of the mark says; waits where a fetch is under way and ${wait}. */
static enum fetched look_at_mark(struct jwks *j, const char *value, bool wait, struct err *err)
{
	uint64_t began;
	if (str_eq(value, "ok"))
		return FETCHED_LATELY;
	if (wait && str_starts(value, "run ") &&
		str_to_u64(value + strlen("run "), INT64_MAX / 2, &began) == 0 &&
		await(j, (int64_t)began))
		return FETCHED;
	err_set(err, ERR_UNAVAILABLE, __func__,
		"the issuer did not answer a moment ago; it is asked again later");
	return FAILED_LATELY;
}

/*
 * Have the keys fetched, by us or by whoever has the right to: one fetch in `pause` ms for all
 * processes. Where the state store cannot tell who has, nobody fetches.
 */
static enum fetched fetch_shared(
	struct jwks *j, bool have_keys, bool wait, int64_t limit_ms, struct err *err)
{
	char run[MARK_MAX];
	struct buf value;
	enum fetched result = FAILED_LATELY;
	int64_t now = clock_now();
	buf_init(&value, MARK_MAX);
	/* A look costs no transaction, which tokens with made-up keys would make us pay. */
	enum state_result r = state_kv_get(j->state, j->fetch_name, now, &value, err);
	if (r == STATE_NOT_FOUND) {
		(void)snprintf(run, sizeof run, "run %" PRId64, now);
		/* Should we die, a service without keys must not wait for a minute. */
		int64_t hold = have_keys || j->times.pause < 2 * j->times.fetch
				       ? j->times.pause
				       : 2 * j->times.fetch;
		r = state_kv_add(j->state, j->fetch_name, run, strlen(run), now,
			now + hold * CLOCK_US_PER_MS, err);
		if (r == STATE_OK) {
			result = fetch(j, now, limit_ms, have_keys, err) == 0 ? FETCHED
									      : FETCH_FAILED;
			goto out;
		}
		if (r == STATE_CONFLICT)
			r = state_kv_get(j->state, j->fetch_name, now, &value, err);
	}
	if (r == STATE_OK)
		result = look_at_mark(j, buf_str(&value), wait, err);
	else if (r != STATE_ERROR)
		err_set(err, ERR_UNAVAILABLE, __func__, "the issuer is being asked for its keys");
out:
	buf_free(&value);
	return result;
}

/*
 * Keys that grow old are fetched anew by the first request that notices; all others go on. Only
 * that one tells the log, or there would be a line for each request while the issuer is down.
 */
static void refresh(struct jwks *j, const struct keys *k)
{
	struct err err = {0};
	int64_t age = clock_now() - k->fetched_at;
	if (age >= 0 && age < j->times.refresh * CLOCK_US_PER_MS)
		return;
	int64_t limit = j->times.fetch < PROBE_MS ? j->times.fetch : PROBE_MS;
	if (fetch_shared(j, true, false, limit, &err) == FETCH_FAILED)
		LOG(LOG_LEVEL_WARN, "the issuer's keys were not renewed",
			log_int("age_s", age / CLOCK_US_PER_S), log_err(&err));
}

/* jwt_verify, from memory where the same token was good before. */
static enum jwt_result verify(struct jwks *j, struct keys *k, const struct jwt *t)
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	digest_sha256(t->text, strlen(t->text), sum);
	unsigned char *place = k->seen[(sum[0] * 256U + sum[1]) % SEEN];
	pthread_mutex_lock(&j->mutex);
	bool known = memcmp(place, sum, sizeof sum) == 0;
	pthread_mutex_unlock(&j->mutex);
	if (known)
		return JWT_GOOD;
	enum jwt_result found = jwt_verify(t, &k->set);
	if (found == JWT_GOOD) {
		pthread_mutex_lock(&j->mutex);
		memcpy(place, sum, sizeof sum);
		pthread_mutex_unlock(&j->mutex);
	}
	return found;
}

enum jwks_result jwks_verify(struct jwks *j, const struct jwt *t, struct err *err)
{
	enum jwt_result found = JWT_NO_KEY;
	enum fetched fetched = FETCHED_LATELY;
	struct keys *k = take(j, false);
	bool have_keys = k != NULL;
	if (k) {
		found = verify(j, k, t);
		/* Not for a token that anybody may have made up. */
		if (found == JWT_GOOD)
			refresh(j, k);
		let_go(j, k);
	}
	if (found == JWT_NO_KEY) {
		fetched = fetch_shared(j, have_keys, true, j->times.fetch, err);
		k = take(j, true);
		if (k)
			found = verify(j, k, t);
		let_go(j, k);
	}
	if (found == JWT_GOOD)
		return JWKS_GOOD;
	bool failed = fetched == FETCH_FAILED || fetched == FAILED_LATELY;
	if (found == JWT_NO_KEY && (failed || !k)) {
		if (!failed)
			err_set(err, ERR_UNAVAILABLE, __func__, "the issuer's keys are not known");
		return JWKS_UNAVAILABLE;
	}
	err_set(err, ERR_INVALID, __func__, "the token is not signed by a key of the issuer");
	return JWKS_FORGED;
}

/* --- health --- */

int jwks_probe(struct jwks *j, struct err *err)
{
	struct discovery d;
	int rc = discovery_fetch(j->http, j->issuer, clock_mono_ms() + PROBE_MS, &d, NULL, err);
	discovery_free(&d);
	if (rc == 0)
		return 0;
	struct keys *k = take(j, false);
	if (k)
		err_prefix(err, "keys are %" PRId64 " s old",
			(clock_now() - k->fetched_at) / CLOCK_US_PER_S);
	else
		err_prefix(err, "no keys are at hand");
	let_go(j, k);
	return -1;
}
