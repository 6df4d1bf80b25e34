/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_BLOB_IMPL_H
#define DEX_STORE_BLOB_IMPL_H

#include "core/store/blob.h"

#include <stddef.h>
#include <stdint.h>

/*
 * For implementers of a blob store. The wrapper (blob.c) has checked keys and arguments, logs and
 * measures; a backend contains only the store. Meaning and errors of each slot: blob.h. ${err} is
 * never NULL. Its text names the key; the wrapper puts the store's name in front.
 */

enum blob_option_flags {
	BLOB_OPT_REQUIRED = 1 << 0,
	BLOB_OPT_SECRET = 1 << 1, /* masked wherever options are shown */
	/*
	 * `env` also serves delivery targets that do not set the option: how a machine is set up,
	 * no matter for what (proxy, certificates, the AWS tools' variables).
	 */
	BLOB_OPT_AMBIENT = 1 << 2,
	/* Likewise, but only for targets that set none of these: keys that belong together. */
	BLOB_OPT_IDENTITY = 1 << 3,
	/* Where `env` is set, the uploads are kept in this backend. */
	BLOB_OPT_SELECTS = 1 << 4,
	/*
	 * Where `env` is set, the manifest configurations are read from this backend, with this
	 * value in place of that of another row with the same key.
	 */
	BLOB_OPT_CONFIGS = 1 << 5,
};

/* Rows with the same key name several variables for it: the first that is set counts. */
struct blob_option_spec {
	const char *key; /* YAML key and option name */
	const char *env; /* variable that sets it for upload storage, or NULL */
	unsigned flags;
	const char *help;
};

struct blob_store { /* first member of the backend's own struct */
	const struct blob_backend *backend;
	char *name;
};

struct blob_writer { /* first member of the backend's own struct */
	struct blob_store *store;
	char *key;
	enum blob_mode mode;
	uint64_t offset; /* kept by the backend: bytes taken */
};

struct blob_backend {
	const char *type;
	unsigned caps;                          /* enum blob_cap */
	const struct blob_option_spec *options; /* ends with a NULL key */

	/* ${opts} was checked against `options`. Returns the store; base members are set by the
	 * wrapper. */
	struct blob_store *(*open)(
		const struct blob_option *opts, size_t nopts, bool create, struct err *err);
	void (*close)(struct blob_store *s);
	int (*location)(const struct blob_store *s, const char *key, struct buf *out);
	/* Base members of the writer are set by the wrapper, `offset` to the resumed one. */
	struct blob_writer *(*begin)(struct blob_store *s, const char *key, enum blob_mode mode,
		uint64_t offset, const char *token, uint64_t size_hint, struct err *err);
	/*
	 * BLOB_STAGE: the metadata that commit will be given, before the first byte. For backends
	 * that send it with the first bytes; commit then does not look at it again. NULL: not asked
	 * for.
	 */
	void (*describe)(struct blob_writer *w, const struct blob_meta *meta);
	int (*append)(struct blob_writer *w, const void *data, size_t len, struct err *err);
	int (*sync)(struct blob_writer *w, struct err *err);
	const char *(*token)(const struct blob_writer *w); /* NULL: never a token */
	int (*commit)(
		struct blob_writer *w, const struct blob_meta *meta, struct err *err); /* frees */
	void (*end)(struct blob_writer *w);                                            /* frees */
	int (*stat)(struct blob_store *s, const char *key, struct blob_stat *out, struct err *err);
	ssize_t (*read)(struct blob_store *s, const char *key, uint64_t offset, void *data,
		size_t len, struct err *err);
	int (*del)(struct blob_store *s, const char *key, const char *token, struct err *err);
	/*
	 * All sources are of this backend. 0, -1, or BLOB_COPY_GENERIC to let the wrapper read and
	 * append. NULL: always generic.
	 */
	int (*copy_from)(struct blob_store *dst, const char *key, const struct blob_source *src,
		size_t n, const struct blob_meta *meta, const struct blob_progress *progress,
		struct err *err);
	int (*list)(struct blob_store *s, const char *prefix, blob_list_fn *fn, void *arg,
		struct err *err);
	int (*sweep)(struct blob_store *s, int64_t age_ms, blob_in_use_fn *in_use, void *arg,
		uint64_t *removed_out, struct err *err);
	int (*probe)(struct blob_store *s, bool writable, struct err *err);
};

#define BLOB_COPY_GENERIC 1

/* Value of ${key}, or NULL when it is not given. */
const char *blob_option_get(const struct blob_option *opts, size_t nopts, const char *key);

/* --- object stores (blob_limits.c) --- */

/* Options that all object stores have, with their bounds; the settings behind them have the same.
 */

#define BLOB_PART_DEFAULT (UINT64_C(8) << 20)
#define BLOB_PARTS_IN_FLIGHT_DEFAULT 3
#define BLOB_PARTS_IN_FLIGHT_MAX 16
#define BLOB_TIMEOUT_DEFAULT_MS 30000
#define BLOB_TIMEOUT_MAX_MS (INT64_C(24) * 3600 * 1000)

/* Rows of a backend's table of options; the size of parts is each service's own. */
#define BLOB_LIMITS_OPTIONS                                                                    \
	{"parts_in_flight", "DEX_PARTS_IN_FLIGHT", BLOB_OPT_AMBIENT,                           \
		"parts of one object on their way at once: 3; 1 to 16"},                       \
	{                                                                                      \
		"request_timeout", "DEX_STORE_TIMEOUT", BLOB_OPT_AMBIENT,                      \
			"how long one operation may take with all its tries: 30s; up to a day" \
	}

struct blob_limits {
	uint64_t part_size; /* bytes */
	size_t parts_in_flight;
	int64_t timeout_ms;
};
struct blob_part_bounds { /* of a service, bytes */
	uint64_t min, max;
	const char *text; /* "MIN to MAX" */
};
/* What the options say, or the default. ERR_INVALID names the one that is out of its bounds. */
int blob_limits_read(const struct blob_option *opts, size_t nopts, const struct blob_part_bounds *b,
	struct blob_limits *out, struct err *err);

#endif
