/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_ERR_H
#define DEX_BASE_ERR_H

/*
 * Errors: a function that can fail returns 0 or -1 (or an enum where there are more answers) and
 * fills a caller-owned `struct err`. Nobody logs on the way up; whoever answers the request or the
 * person logs once. `text` never contains a secret.
 */

#define ERR_TEXT_MAX 384

enum err_code {
	ERR_NONE = 0,
	ERR_INVALID,     /* the caller's input is wrong; repeating it will not help */
	ERR_NOT_FOUND,   /* the named thing does not exist */
	ERR_EXISTS,      /* the named thing exists and must not */
	ERR_CONFLICT,    /* the thing is not in the state the caller believed */
	ERR_LOCKED,      /* somebody else holds the lock and did not let go in time */
	ERR_GONE,        /* known to have existed; expired or terminated */
	ERR_TOO_LARGE,   /* beyond a configured or built-in limit */
	ERR_NO_SPACE,    /* ENOSPC, EDQUOT, SQLITE_FULL */
	ERR_UNAVAILABLE, /* a service is out of reach or busy; try again later */
	ERR_PEER_GONE,   /* the client has gone away */
	ERR_INTERRUPTED, /* a newcomer or a shutdown asked us to stop */
	ERR_DENIED,      /* no permission */
	ERR_UNSUPPORTED, /* this implementation does not offer it */
	ERR_CORRUPT,     /* stored data contradict themselves */
	ERR_TOO_MANY,    /* a quota is used up; there may be room later */
	ERR_IO,          /* any other failure of the system below */
};

struct err {
	enum err_code code;
	int sys_errno;           /* errno at the place of failure, or 0 */
	const char *where;       /* function that detected it (static string) */
	char text[ERR_TEXT_MAX]; /* one sentence, no final full stop, no newline */
};

/* Fill ${e} (may be NULL) and return -1. */
int err_set(struct err *e, enum err_code code, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * As err_set, with the code chosen from errno (ENOSPC -> ERR_NO_SPACE, ENOENT -> ERR_NOT_FOUND,
 * EACCES/EPERM/EROFS -> ERR_DENIED, EEXIST -> ERR_EXISTS, else ERR_IO) and ": " + strerror
 * appended.
 */
int err_errno(struct err *e, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "PREFIX: " in front of the text of ${e}; returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);

/* "not found", "no space" …: for logs and machine-readable listings. Static string. */
const char *err_code_name(enum err_code code);

#endif
