/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_SQLITE_SQL_H
#define DEX_BACKENDS_STATE_SQLITE_SQL_H

/*
 * Every SQL statement of the SQLite state store, and its schema. Predicates that a partial index
 * shall serve are literals: SQLite cannot use such an index for a bound value.
 */
enum sql_id {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_PROBE,
	SQL_COUNTS,

	SQL_UPLOAD_CREATE,
	SQL_UPLOAD_TOO_MANY,
	SQL_UPLOAD_GET,
	SQL_UPLOAD_STATUS,
	SQL_UPLOAD_ADVANCE,
	SQL_UPLOAD_COMPLETE,
	SQL_UPLOAD_EXPIRE,
	SQL_UPLOAD_TERMINATE,
	SQL_UPLOAD_RETIRE,
	SQL_UPLOAD_REMOVED,
	SQL_UPLOAD_PURGE_DELIVERIES,
	SQL_UPLOAD_PURGE,
	SQL_UPLOAD_SCAN_STALE,
	SQL_UPLOAD_SCAN_DELIVERED,
	SQL_UPLOAD_SCAN_REMOVABLE,
	SQL_UPLOAD_SCAN_TIMES,
	SQL_UPLOAD_DELIVERED,
	SQL_UPLOAD_UNDELIVERED,

	SQL_DELIVERY_CREATE,
	SQL_DELIVERY_QUEUE,
	SQL_DELIVERY_LEASE,
	SQL_DELIVERY_LEASE_OF_UPLOAD,
	SQL_DELIVERY_RENEW,
	SQL_DELIVERY_END,
	SQL_DELIVERY_OF_UPLOAD,
	SQL_DELIVERY_UNFINISHED,
	SQL_DELIVERY_UNFINISHED_OF_UPLOAD,
	SQL_DELIVERY_NEXT,

	SQL_OUTBOX_ADD,
	SQL_OUTBOX_HEADS,
	SQL_OUTBOX_GROUP,
	SQL_OUTBOX_PUSH,
	SQL_OUTBOX_SENT,
	SQL_OUTBOX_NEW_HEAD,
	SQL_OUTBOX_RETRY,

	SQL_KV_GET,
	SQL_KV_SET,
	SQL_KV_ADD,
	SQL_KV_SWEEP,

	SQL_MOVE_UPLOADS,
	SQL_MOVE_MESSAGES,
	SQL_MOVE_PUT_UPLOAD,
	SQL_MOVE_PUT_DELIVERY,
	SQL_MOVE_PUT_MESSAGE,

	SQL_COUNT
};

extern const char *const state_sqlite_sql[SQL_COUNT];

/* PRAGMA application_id of our files, "DEXU": tells them from another program's. */
#define STATE_SQLITE_SQL_APPLICATION 0x44455855

/* Entry i makes schema version i + 1 of version i, and sets PRAGMA user_version to it. */
extern const char *const state_sqlite_sql_migrations[];
extern const int state_sqlite_sql_version; /* what this program writes: the number of migrations */

#endif
