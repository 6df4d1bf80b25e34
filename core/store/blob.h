/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_BLOB_H
#define DEX_STORE_BLOB_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A blob store: one directory tree, bucket or container. The same interface serves upload storage,
 * delivery targets, manifest configurations and health probes. Stores are opened at start and may
 * be used by any number of threads; a writer belongs to one thread at a time.
 *
 * Keys are relative paths of UTF-8 segments joined by '/', no empty, "." or ".." segment, no
 * control character, at most 1024 bytes (blob_key_valid); the wrapper refuses others before a
 * backend sees them.
 */

struct blob_backend;
struct blob_store;
struct blob_writer;
struct err;

#define BLOB_KEY_MAX 1024

/* Properties of a backend; callers ask, they never guess. */
enum blob_cap {
	/* bytes that reached the store may be adopted by a later writer beyond the state's offset
	 */
	BLOB_CAP_ADOPT = 1 << 0,
	/* blob_copy_from between two stores of this backend avoids moving the bytes through us */
	BLOB_CAP_FAST_COPY = 1 << 1,
	/*
	 * What is appended is in the store only once blob_sync or blob_commit has returned,
	 * whatever durability is asked for, and lost with its writer before. Each of them is one
	 * request or more to a service: not to be asked for with every piece. To go on beyond the
	 * start takes the token of a sync, and an object is there only once it was committed.
	 */
	BLOB_CAP_STORED_BY_SYNC = 1 << 2,
	/* blob_read costs a request: ask for megabytes at a time, several at once */
	BLOB_CAP_REMOTE = 1 << 3,
};

struct blob_option {
	const char *key; /* as in the backend's option table, e.g. "path", "bucket_name" */
	const char *value;
};

/* How a new writer treats the name. */
enum blob_mode {
	/*
	 * Upload storage: bytes may be appended over many writers, processes and days; ${offset}
	 * says where to go on. Visibility does not matter: `state` decides who may read. It can be
	 * read and copied once it was committed, which is due when its last byte is there. An
	 * object of that name is replaced, at the commit at the latest.
	 */
	BLOB_RESUME,
	/*
	 * Delivery target: the object becomes visible, whole, at blob_commit, and not at all
	 * otherwise. An existing object of that name is not replaced: commit then answers
	 * ERR_EXISTS.
	 */
	BLOB_STAGE,
};

struct blob_meta { /* user metadata that travels with an object: pairs of UTF-8 strings */
	const char *const *keys;
	const char *const *values;
	size_t n;
	/*
	 * NULL, or where the keys that could not be carried (too long, too many) are listed, joined
	 * by ", ". Stores that carry no metadata at all leave it alone.
	 */
	struct buf *left_out;
};

struct blob_stat {
	uint64_t size;
	int64_t mtime; /* microseconds since 1970 */
	char etag[80]; /* changes whenever the content changes; "" when the backend has none */
};

/*
 * Open a store. ${opts} holds ${nopts} options; unknown keys and missing required ones are errors
 * that name the key. With ${create} a missing container is made. ${name} is used in logs and
 * metrics.
 */
struct blob_store *blob_open(const struct blob_backend *backend, const char *name,
	const struct blob_option *opts, size_t nopts, bool create, struct err *err);
void blob_close(struct blob_store *s); /* NULL is fine */

const char *blob_name(const struct blob_store *s); /* as given to blob_open */
const char *blob_type(const struct blob_store *s); /* "file", "s3", "az-blob" */
bool blob_can(const struct blob_store *s, enum blob_cap cap);
bool blob_key_valid(const char *key);
/* Where people find the object: the path of a file, the URL of an object. Appended to ${out}. */
int blob_location(const struct blob_store *s, const char *key, struct buf *out);

/*
 * Start writing ${key}. BLOB_RESUME: go on at ${offset}; bytes beyond it are discarded, fewer bytes
 * than ${offset} are ERR_CORRUPT; ${token} is what blob_token gave for the bytes up to ${offset}
 * (NULL or "" at the start). Where the store needs one, none, or one for another number of bytes,
 * is ERR_CORRUPT too. A writer that begins at the end of what was committed can be committed again,
 * which changes nothing: the one before may have died before it could tell. BLOB_STAGE: ${offset}
 * 0, ${token} NULL. ${size_hint}: expected final size or 0.
 */
struct blob_writer *blob_begin(struct blob_store *s, const char *key, enum blob_mode mode,
	uint64_t offset, const char *token, uint64_t size_hint, struct err *err);
/*
 * BLOB_STAGE: tell the metadata that blob_commit will be given, where they are known before the
 * first byte is. Some stores can carry the metadata of a large object only so.
 */
void blob_describe(struct blob_writer *w, const struct blob_meta *meta);
/* Append; either all ${len} bytes are taken or the call fails and blob_offset tells how many were.
 */
int blob_append(struct blob_writer *w, const void *data, size_t len, struct err *err);
/* Offset after the last byte that was taken, by the writer in a BLOB_CAP_STORED_BY_SYNC store. */
uint64_t blob_offset(const struct blob_writer *w);
/*
 * Make every byte up to blob_offset survive a crash (part or block acknowledged, fdatasync, and the
 * directory entry). Backends whose appends are durable by nature do nothing. The token of the sync
 * before, or of blob_begin, stays good: `state` has that one until it was told of the new one. What
 * only older tokens name may be removed.
 */
int blob_sync(struct blob_writer *w, struct err *err);
/*
 * Resume token for the bytes up to the last blob_sync (before it: as given to blob_begin), for
 * `state` to keep. "" where none is needed. Owned by the writer, good until its next call.
 */
const char *blob_token(const struct blob_writer *w);
/*
 * Finish the object: durable, whole, visible. ${meta} may be NULL. Frees the writer, also on
 * failure (BLOB_RESUME: the bytes stay and a later writer may go on, in a BLOB_CAP_STORED_BY_SYNC
 * store from the last sync; BLOB_STAGE: nothing stays).
 */
int blob_commit(struct blob_writer *w, const struct blob_meta *meta, struct err *err);
/*
 * Stop writing and free the writer. BLOB_RESUME keeps what was appended, in a
 * BLOB_CAP_STORED_BY_SYNC store what was synced; BLOB_STAGE removes it.
 */
void blob_end(struct blob_writer *w); /* NULL is fine */

/*
 * Size and times. -1 with ERR_NOT_FOUND where nothing lies. For BLOB_RESUME objects: bytes taken so
 * far; in a BLOB_CAP_STORED_BY_SYNC store ERR_NOT_FOUND, or what was there before, until they were
 * committed.
 */
int blob_stat(struct blob_store *s, const char *key, struct blob_stat *out, struct err *err);
/*
 * Up to ${len} bytes from ${offset}; fewer only at the end. Returns the count or -1. One call may
 * be one request to a service: ask for megabytes, not kilobytes.
 */
ssize_t blob_read(struct blob_store *s, const char *key, uint64_t offset, void *data, size_t len,
	struct err *err);
/*
 * Remove the object, staged parts and all; ${token} as in blob_begin, the newest there is. Without
 * it, parts that were not committed may be left to blob_sweep. A missing object is success.
 */
int blob_del(struct blob_store *s, const char *key, const char *token, struct err *err);

struct blob_progress { /* called about every 64 MiB with the bytes done; -1 from it stops the copy
			*/
	int (*fn)(void *arg, uint64_t done);
	void *arg;
};
struct blob_source {
	struct blob_store *store;
	const char *key;
	uint64_t size; /* all of it is copied; a shorter source is ERR_CORRUPT */
};
/*
 * Make ${key} in ${dst} from the ${n} sources in their order, with BLOB_STAGE visibility: the
 * shortest way the backend has (reflink, server-side copy), read and append otherwise. Delivery
 * uses n = 1, concatenation more. ${sha256_hex} (BLOB_SHA256_SIZE bytes, may be NULL) receives the
 * sum where it was computed on the way, else "".
 */
int blob_copy_from(struct blob_store *dst, const char *key, const struct blob_source *src, size_t n,
	const struct blob_meta *meta, const struct blob_progress *progress, char *sha256_hex,
	struct err *err);

#define BLOB_SHA256_SIZE 65 /* in hexadecimal + NUL */
/*
 * Read ${src} to get the SHA-256 of its first `size` bytes into ${hex}. ${progress} (may be NULL)
 * is called after every piece of 4 MiB at most; -1 from it is ERR_INTERRUPTED. ERR_CORRUPT: the
 * source is shorter. ${hex} is "" on failure.
 */
int blob_sha256(const struct blob_source *src, const struct blob_progress *progress,
	char hex[BLOB_SHA256_SIZE], struct err *err);

/* One object of a listing; return -1 to stop (blob_list then returns 0). */
typedef int blob_list_fn(void *arg, const char *key, const struct blob_stat *stat);
/* Every object whose key starts with ${prefix} (a whole segment), order unspecified. */
int blob_list(
	struct blob_store *s, const char *prefix, blob_list_fn *fn, void *arg, struct err *err);
/*
 * Remove what dead processes left and is older than ${age_ms}: staged files, parts and tails of
 * BLOB_RESUME objects that nobody goes on with. ${in_use} is asked about the latter: is ${part} (a
 * name that the tokens of ${key} contain) part of the object's newest token? 1: yes, 0: no, -1:
 * cannot be told, which leaves it. NULL: this store has no BLOB_RESUME objects.
 */
typedef int blob_in_use_fn(void *arg, const char *key, const char *part);
int blob_sweep(struct blob_store *s, int64_t age_ms, blob_in_use_fn *in_use, void *arg,
	uint64_t *removed_out, struct err *err);

/* Cheap check that the store answers (and, for ${writable}, would take a write). */
int blob_probe(struct blob_store *s, bool writable, struct err *err);

#endif
