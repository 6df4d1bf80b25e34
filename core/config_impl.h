/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_CONFIG_IMPL_H
#define DEX_CONFIG_IMPL_H

#include "core/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the config_*.c files share: the rows of the table, and what a value of a row may look like.
 */

/* Field in struct config: bool for BOOL, uint64_t for UINT and SIZE, int64_t for DURATION, else
 * text. */
enum config_type {
	CONFIG_TEXT, /* anything in UTF-8 without control characters */
	CONFIG_BOOL,
	CONFIG_UINT,     /* min … max */
	CONFIG_SIZE,     /* bytes, min … max */
	CONFIG_DURATION, /* milliseconds, min … max */
	CONFIG_CHOICE,   /* one of `choices`, any case; the field has the table's spelling */
	CONFIG_PATH,     /* file or folder that need not exist yet */
	CONFIG_DIR,      /* directory that exists */
	CONFIG_FILE,     /* file that exists */
	CONFIG_URL_PATH, /* "/files/"; the final slash is added when missing */
	CONFIG_KEY,      /* relative path, no empty, "." or ".." segment */
	CONFIG_HOST,     /* host name or address, no port */
	CONFIG_HOST_PORT,
	CONFIG_SERVICE, /* URL of a service: https, or http on this machine */
	CONFIG_URL,     /* http or https URL of something that is sent no secret of others */
	CONFIG_SCOPES,  /* OAuth scopes (RFC 6749 section 3.3), one space between them */
	/* lists: the field has no blanks and no repeats */
	CONFIG_ORIGINS,  /* "*" alone, or scheme://host[:port] in lower case */
	CONFIG_NETWORKS, /* addresses or CIDR */
	CONFIG_NAMES,    /* letters, digits and '_' */
	CONFIG_TYPES
};

enum config_flag {
	CONFIG_REQUIRED = 1 << 0, /* no value and no default is a problem */
	CONFIG_SECRET = 1 << 1,   /* shown as CONFIG_MASK */
	CONFIG_EMPTY_OK =
		1 << 2, /* "" is a value of its own; elsewhere it stands for the default */
	CONFIG_ENV_ONLY = 1 << 3, /* makes no sense in the dotenv file */
};

#define CONFIG_MASK "********"
/* A default may begin with this; it stands for the upload folder in force. */
#define CONFIG_FOLDER "{LOCAL_FOLDER_UPLOADS_TUS}"

struct config_row {
	const char *heading; /* of the group that begins with this row, else NULL */
	const char *name;
	enum config_type type;
	unsigned flags; /* of config_flag */
	/*
	 * NULL for none. DIR and FILE: places joined by '|', the first that exists is taken. Rows
	 * that use CONFIG_FOLDER stand behind LOCAL_FOLDER_UPLOADS_TUS.
	 */
	const char *def;
	uint64_t min, max;   /* UINT, SIZE, DURATION */
	const char *choices; /* CHOICE: "a|b|c" */
	const char *unless;  /* CONFIG_REQUIRED, but not where one of these is set: "A|B" */
	bool has_field;
	size_t offset;    /* in struct config */
	const char *help; /* one line, begins small, no final full stop */
};

extern const struct config_row config_table[];
extern const size_t config_table_len;
/* The row of that name or NULL. */
const struct config_row *config_table_find(const char *name);

struct config_value {
	char *text;   /* normalised; the caller frees it */
	uint64_t num; /* BOOL, UINT, SIZE, DURATION */
};

/* 0 and ${out}, or -1 when ${text} is not what the row expects. */
int config_value_parse(const struct config_row *row, const char *text, struct config_value *out);
/* Append what the row expects: "one of DEV, TST", "a whole number 4 to 4096". */
int config_value_expected(const struct config_row *row, struct buf *out);
/*
 * The ${n}-th place of the row's default (other defaults have just one) below the upload folder
 * ${folder}; NULL behind the last. The caller frees it. "CONFIG_FOLDER/.." is the folder's parent
 * by name, since the folder may not exist yet.
 */
char *config_value_default(const struct config_row *row, size_t n, const char *folder);

#endif
