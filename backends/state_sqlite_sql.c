/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_sqlite_sql.h"

/*
 * Why the schema is as it is:
 * - Upload ids are random, so whatever is keyed by them touches a cold page per row. Only the
 *   unique index on `id` is; deliveries refer to the row number: the work of today stays together.
 * - Sweeps, leases and counts read partial indexes that hold the work at hand and nothing else.
 * - `next_at` = the later of due time and lease end: one seek finds a delivery that may be leased.
 * - `head` marks the oldest unsent message of an upload and sink. Only heads are looked for; what
 *   waits behind one is found through it, so that order costs nothing however long a sink is down.
 * - Message ids are never used again (AUTOINCREMENT): a late "sent" must not hit another message.
 */
static const char schema_1[] =
	"CREATE TABLE uploads ("
	" seq INTEGER PRIMARY KEY,"
	" id TEXT NOT NULL UNIQUE,"
	" kind INTEGER NOT NULL,"
	" status INTEGER NOT NULL,"
	" length INTEGER NOT NULL,"
	" offset INTEGER NOT NULL,"
	" unverified INTEGER NOT NULL,"
	" fence INTEGER NOT NULL,"
	" created_at INTEGER NOT NULL,"
	" touched_at INTEGER NOT NULL,"
	" completed_at INTEGER NOT NULL,"
	" delivered_at INTEGER,"       /* NULL while a delivery is not done */
	" ended_at INTEGER NOT NULL,"  /* when it became a tombstone */
	" removable INTEGER NOT NULL," /* tombstone with data in storage */
	" token TEXT NOT NULL,"
	" metadata TEXT, manifest TEXT, concat TEXT, owner TEXT);"
	"CREATE INDEX uploads_open ON uploads(touched_at) WHERE status=0;"
	"CREATE INDEX uploads_partial ON uploads(touched_at) WHERE status=1 AND kind=1;"
	"CREATE INDEX uploads_delivered ON uploads(delivered_at)"
	" WHERE status=1 AND delivered_at IS NOT NULL;"
	"CREATE INDEX uploads_removable ON uploads(ended_at) WHERE removable=1;"
	"CREATE INDEX uploads_tombstone ON uploads(ended_at) WHERE removable=0 AND status IN (2,3);"

	"CREATE TABLE deliveries ("
	" id INTEGER PRIMARY KEY,"
	" upload INTEGER NOT NULL," /* uploads.seq */
	" upload_id TEXT NOT NULL,"
	" target TEXT NOT NULL,"
	" status INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL,"
	" due_at INTEGER NOT NULL,"
	" lease_owner TEXT,"
	" lease_until INTEGER NOT NULL,"
	" next_at INTEGER NOT NULL,"
	" queued_at INTEGER NOT NULL,"
	" ended_at INTEGER NOT NULL,"
	" location TEXT, issues TEXT);"
	"CREATE UNIQUE INDEX deliveries_target ON deliveries(upload,target);"
	"CREATE INDEX deliveries_due ON deliveries(next_at) WHERE status=0;"
	"CREATE INDEX deliveries_unfinished ON deliveries(queued_at,id,status) WHERE status<>1;"

	"CREATE TABLE outbox ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" upload_id TEXT NOT NULL,"
	" sink TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" replaces INTEGER NOT NULL,"
	" data TEXT NOT NULL,"
	" due_at INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL,"
	" head INTEGER NOT NULL);"
	"CREATE INDEX outbox_group ON outbox(upload_id,sink);"
	"CREATE INDEX outbox_head ON outbox(sink,due_at) WHERE head=1;"
	"CREATE INDEX outbox_due ON outbox(due_at);"

	"CREATE TABLE kv ("
	" key TEXT NOT NULL PRIMARY KEY,"
	" value BLOB NOT NULL,"
	" expires_at INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX kv_expiry ON kv(expires_at) WHERE expires_at>0;"

	"PRAGMA application_id=1145395285;" /* STATE_SQLITE_SQL_APPLICATION */
	"PRAGMA user_version=1;";

/* What lies beyond the offset can be more than unverified: enum upload_beyond. */
static const char schema_2[] = "ALTER TABLE uploads RENAME COLUMN unverified TO beyond;"
			       "PRAGMA user_version=2;";

/*
 * How many uploads are open: of each owner, and in all (owner ''). Triggers keep the numbers in the
 * very change they count, so that they cannot drift, and a creation need not count rows.
 */
static const char schema_3[] =
	"CREATE TABLE open_uploads (owner TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"INSERT INTO open_uploads SELECT '', count(*) FROM uploads WHERE status=0;"
	"INSERT INTO open_uploads SELECT owner, count(*) FROM uploads"
	" WHERE status=0 AND owner<>'' GROUP BY owner;"
	"CREATE TRIGGER uploads_opened AFTER INSERT ON uploads WHEN new.status=0 BEGIN"
	" UPDATE open_uploads SET n=n+1 WHERE owner='';"
	" INSERT INTO open_uploads SELECT new.owner, 1 WHERE new.owner<>''"
	"  ON CONFLICT(owner) DO UPDATE SET n=n+1;"
	" END;"
	"CREATE TRIGGER uploads_closed AFTER UPDATE OF status ON uploads"
	" WHEN old.status=0 AND new.status<>0 BEGIN"
	" UPDATE open_uploads SET n=n-1 WHERE owner='';"
	" UPDATE open_uploads SET n=n-1 WHERE owner=old.owner AND owner<>'';"
	" DELETE FROM open_uploads WHERE owner=old.owner AND owner<>'' AND n<=0;"
	" END;"
	"PRAGMA user_version=3;";

/* The time of struct upload_mark. It does not change while an upload grows: no cost for a PATCH. */
#define UPLOAD_AT "max(created_at,completed_at,iif(status IN (2,3),ended_at,0))"

static const char schema_4[] = "ALTER TABLE deliveries ADD COLUMN sha256 TEXT;"
			       "CREATE INDEX uploads_times ON uploads(" UPLOAD_AT ",id);"
			       "PRAGMA user_version=4;";

/* A parked message is due never, and no head. */
static const char schema_5[] =
	"ALTER TABLE outbox ADD COLUMN parked_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE outbox ADD COLUMN reason TEXT;"
	"CREATE INDEX outbox_parked ON outbox(parked_at,id) WHERE parked_at>0;"
	"PRAGMA user_version=5;";
#define NEVER "9223372036854775807"

const char *const state_sqlite_sql_migrations[] = {
	schema_1, schema_2, schema_3, schema_4, schema_5};
const int state_sqlite_sql_version =
	(int)(sizeof(state_sqlite_sql_migrations) / sizeof(state_sqlite_sql_migrations[0]));

/* ?1 id ?2 from ?3 to ?4 length ?5 token ?6 beyond ?7 fence ?8 now */
#define CHANGE_SET                                                               \
	"UPDATE uploads SET offset=?3, touched_at=iif(offset=?3,touched_at,?8)," \
	" length=iif(length<0,?4,length), token=coalesce(?5,token), beyond=?6, fence=?7"
#define CHANGE_WHERE                                            \
	" WHERE id=?1 AND status=0 AND offset=?2 AND fence<=?7" \
	" AND (length<0 OR ?4<0 OR length=?4)"
#define NEW_LENGTH "iif(length<0,?4,length)"

#define PENDING_OF_UPLOAD                                        \
	"(SELECT 1 FROM deliveries INDEXED BY deliveries_target" \
	" WHERE upload=uploads.seq AND status=0)"

#define PURGEABLE                                               \
	"(SELECT seq FROM uploads INDEXED BY uploads_tombstone" \
	" WHERE removable=0 AND status IN (2,3) AND ended_at<?1 ORDER BY ended_at, seq LIMIT ?2)"

/* In the order of enum delivery_column. */
#define DELIVERY_COLUMNS                                                                       \
	"id, upload_id, target, status, attempt, due_at, lease_owner, lease_until, queued_at," \
	" ended_at, location, issues, sha256"

/* ?1 upload ?2 its id ?3 target ?4 now */
#define NEW_DELIVERY                                                                              \
	"INSERT INTO deliveries(upload, upload_id, target, status, attempt, due_at, lease_until," \
	" next_at, queued_at, ended_at) VALUES(?1, ?2, ?3, 0, 0, ?4, 0, ?4, ?4, 0)"

#define LEASE_SET \
	"UPDATE deliveries SET lease_owner=?1, lease_until=?2, next_at=max(due_at,?2) WHERE id="

const char *const state_sqlite_sql[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_PROBE] = "SELECT seq FROM uploads WHERE seq=0",
	[SQL_COUNTS] =
		"SELECT (SELECT count(*) FROM uploads INDEXED BY uploads_open WHERE status=0),"
		" (SELECT count(*) FROM deliveries INDEXED BY deliveries_due WHERE status=0),"
		" (SELECT count(*) FROM deliveries INDEXED BY deliveries_unfinished"
		"  WHERE status<>1 AND status=2),"
		" (SELECT count(*) FROM outbox INDEXED BY outbox_due WHERE due_at<=?1),"
		" (SELECT count(*) FROM outbox INDEXED BY outbox_parked WHERE parked_at>0)",

	[SQL_UPLOAD_CREATE] =
		"INSERT INTO uploads(id, kind, status, length, offset, beyond, fence,"
		" created_at, touched_at, completed_at, ended_at, removable,"
		" token, metadata, manifest, concat, owner)"
		" VALUES(?1, ?2, 0, ?3, 0, 0, 0, ?4, ?4, 0, 0, 0, ?5, ?6, ?7, ?8, ?9)",
	/* ?1 limit in all ?2 owner ?3 limit of the owner; a limit of 0 is none */
	[SQL_UPLOAD_TOO_MANY] =
		"SELECT 1 WHERE"
		" (?1>0 AND (SELECT n FROM open_uploads WHERE owner='')>=?1) OR"
		" (?3>0 AND ?2<>'' AND (SELECT n FROM open_uploads WHERE owner=?2)>=?3)",
	/* In the order of enum upload_column. */
	[SQL_UPLOAD_GET] =
		"SELECT id, kind, status, length, offset, beyond, created_at, touched_at,"
		" completed_at, metadata, manifest, concat, token, owner FROM uploads WHERE id=?1",
	[SQL_UPLOAD_STATUS] = "SELECT seq, status FROM uploads WHERE id=?1",
	[SQL_UPLOAD_ADVANCE] =
		CHANGE_SET CHANGE_WHERE " AND (" NEW_LENGTH "<0 OR " NEW_LENGTH ">=?3)",
	[SQL_UPLOAD_COMPLETE] =
		CHANGE_SET ", status=1, completed_at=?8" CHANGE_WHERE " AND " NEW_LENGTH "=?3",
	[SQL_UPLOAD_EXPIRE] = "UPDATE uploads SET status=2, ended_at=?2, removable=1 WHERE id=?1"
			      " AND (status=0 OR (status=1 AND kind=1)) AND touched_at<=?3",
	[SQL_UPLOAD_TERMINATE] = "UPDATE uploads SET status=3, ended_at=?2, removable=1 WHERE id=?1"
				 " AND status IN (0,1) AND NOT EXISTS " PENDING_OF_UPLOAD,
	[SQL_UPLOAD_RETIRE] =
		"UPDATE uploads SET status=4, ended_at=?2, removable=1 WHERE id=?1"
		" AND status=1 AND delivered_at IS NOT NULL AND NOT EXISTS " PENDING_OF_UPLOAD,
	[SQL_UPLOAD_REMOVED] = "UPDATE uploads SET removable=0 WHERE id=?1 AND removable=1",
	[SQL_UPLOAD_PURGE_DELIVERIES] = "DELETE FROM deliveries WHERE upload IN " PURGEABLE,
	[SQL_UPLOAD_PURGE] = "DELETE FROM uploads WHERE seq IN " PURGEABLE,
	[SQL_UPLOAD_SCAN_STALE] =
		"SELECT id, touched_at FROM uploads INDEXED BY uploads_open"
		" WHERE status=0 AND touched_at<=?1 UNION ALL "
		"SELECT id, touched_at FROM uploads INDEXED BY uploads_partial"
		" WHERE status=1 AND kind=1 AND touched_at<=?1 ORDER BY touched_at LIMIT ?2",
	[SQL_UPLOAD_SCAN_DELIVERED] =
		"SELECT id FROM uploads INDEXED BY uploads_delivered"
		" WHERE status=1 AND delivered_at IS NOT NULL AND delivered_at<=?1"
		" ORDER BY delivered_at LIMIT ?2",
	[SQL_UPLOAD_SCAN_REMOVABLE] = "SELECT id FROM uploads INDEXED BY uploads_removable"
				      " WHERE removable=1 ORDER BY ended_at LIMIT ?1",
	/* ?1 time and ?2 id of the last one seen ?3 until ?4 limit */
	[SQL_UPLOAD_SCAN_TIMES] =
		"SELECT " UPLOAD_AT ", id FROM uploads INDEXED BY uploads_times"
		" WHERE " UPLOAD_AT ">=?1 AND " UPLOAD_AT "<?3 AND (" UPLOAD_AT ">?1 OR id>?2)"
		" ORDER BY " UPLOAD_AT ", id LIMIT ?4",
	[SQL_UPLOAD_DELIVERED] =
		"UPDATE uploads SET delivered_at=?2 WHERE seq=?1 AND status=1 AND NOT EXISTS"
		" (SELECT 1 FROM deliveries INDEXED BY deliveries_target"
		"  WHERE upload=?1 AND status<>1)",
	[SQL_UPLOAD_UNDELIVERED] = "UPDATE uploads SET delivered_at=NULL WHERE seq=?1",

	[SQL_DELIVERY_CREATE] = NEW_DELIVERY,
	[SQL_DELIVERY_QUEUE] =
		NEW_DELIVERY " ON CONFLICT(upload,target) DO UPDATE SET status=0, attempt=0,"
			     " due_at=excluded.due_at, lease_owner=NULL, lease_until=0,"
			     " next_at=excluded.next_at, queued_at=excluded.queued_at, ended_at=0,"
			     " location=NULL, issues=NULL, sha256=NULL WHERE status<>0",
	[SQL_DELIVERY_LEASE] = LEASE_SET
	"(SELECT id FROM deliveries INDEXED BY deliveries_due WHERE status=0"
	" AND next_at<=?3 AND (?4 IS NULL OR target=?4) ORDER BY next_at, id LIMIT 1)"
	" RETURNING " DELIVERY_COLUMNS,
	[SQL_DELIVERY_LEASE_OF_UPLOAD] = LEASE_SET
	"(SELECT id FROM deliveries INDEXED BY deliveries_target"
	" WHERE upload=(SELECT seq FROM uploads WHERE id=?5) AND status=0"
	" AND next_at<=?3 AND (?4 IS NULL OR target=?4) ORDER BY next_at, id LIMIT 1)"
	" RETURNING " DELIVERY_COLUMNS,
	[SQL_DELIVERY_RENEW] = "UPDATE deliveries SET lease_until=?3, next_at=max(due_at,?3)"
			       " WHERE id=?1 AND status=0 AND lease_owner=?2",
	[SQL_DELIVERY_END] =
		"UPDATE deliveries SET status=?3, due_at=iif(?3=0,?4,due_at),"
		" next_at=iif(?3=0,?4,next_at), attempt=attempt+?5, location=?6, issues=?7,"
		" lease_owner=NULL, lease_until=0, ended_at=?8, sha256=?9"
		" WHERE id=?1 AND status=0 AND lease_owner=?2 RETURNING upload",
	[SQL_DELIVERY_OF_UPLOAD] =
		"SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY deliveries_target"
		" WHERE upload=(SELECT seq FROM uploads WHERE id=?1) ORDER BY id",
	[SQL_DELIVERY_UNFINISHED] =
		"SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY deliveries_unfinished"
		" WHERE status<>1 AND (queued_at,id)>(?1,?2) AND (?3 IS NULL OR target=?3)"
		" ORDER BY queued_at, id LIMIT ?4",
	[SQL_DELIVERY_UNFINISHED_OF_UPLOAD] =
		"SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY deliveries_target"
		" WHERE upload=(SELECT seq FROM uploads WHERE id=?5) AND status<>1"
		" AND (queued_at,id)>(?1,?2) AND (?3 IS NULL OR target=?3)"
		" ORDER BY queued_at, id LIMIT ?4",
	[SQL_DELIVERY_NEXT] =
		"SELECT min(next_at) FROM deliveries INDEXED BY deliveries_due WHERE status=0",

	[SQL_OUTBOX_ADD] =
		"INSERT INTO outbox(upload_id, sink, name, replaces, data, due_at, attempt, head)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0,"
		" NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_group"
		"  WHERE upload_id=?1 AND sink=?2 AND parked_at=0))",
	[SQL_OUTBOX_HEADS] =
		"SELECT upload_id FROM outbox INDEXED BY outbox_head"
		" WHERE head=1 AND sink=?1 AND due_at<=?2 ORDER BY due_at, id LIMIT ?3",
	[SQL_OUTBOX_GROUP] = "SELECT id, name, replaces, data, due_at, attempt"
			     " FROM outbox INDEXED BY outbox_group"
			     " WHERE upload_id=?1 AND sink=?2 AND parked_at=0 ORDER BY id LIMIT ?3",
	[SQL_OUTBOX_PUSH] = "UPDATE outbox SET due_at=?2 WHERE id=?1",
	[SQL_OUTBOX_SENT] = "DELETE FROM outbox WHERE id=?1 RETURNING upload_id, sink",
	[SQL_OUTBOX_NEW_HEAD] =
		"UPDATE outbox SET head=1 WHERE id=(SELECT id FROM outbox INDEXED BY outbox_group"
		" WHERE upload_id=?1 AND sink=?2 AND parked_at=0 ORDER BY id LIMIT 1) AND head=0",
	[SQL_OUTBOX_NO_HEAD] = "UPDATE outbox INDEXED BY outbox_group SET head=0"
			       " WHERE upload_id=?1 AND sink=?2 AND head=1",
	[SQL_OUTBOX_RETRY] = "UPDATE outbox SET due_at=?2, attempt=attempt+1"
			     " WHERE id=?1 AND parked_at=0",
	[SQL_OUTBOX_PARK] =
		"UPDATE outbox SET parked_at=?2, reason=?3, attempt=attempt+1, head=0,"
		" due_at=" NEVER " WHERE id=?1 AND parked_at=0 RETURNING upload_id, sink",
	[SQL_OUTBOX_UNPARK] = "UPDATE outbox SET parked_at=0, reason=NULL, attempt=0, due_at=?2"
			      " WHERE id=?1 AND parked_at>0 RETURNING upload_id, sink",
	/* ?1 time and ?2 id of the last one seen ?3 upload (NULL: any) ?4 limit */
	[SQL_OUTBOX_PARKED] =
		"SELECT id, upload_id, sink, name, replaces, data, due_at, attempt, parked_at, "
		"reason"
		" FROM outbox INDEXED BY outbox_parked WHERE parked_at>0 AND (parked_at,id)>(?1,?2)"
		" AND (?3 IS NULL OR upload_id=?3) ORDER BY parked_at, id LIMIT ?4",

	[SQL_KV_GET] = "SELECT value FROM kv WHERE key=?1 AND (expires_at=0 OR expires_at>?2)",
	[SQL_KV_SET] = "INSERT INTO kv(key, value, expires_at) VALUES(?1, ?2, ?3) ON CONFLICT(key)"
		       " DO UPDATE SET value=excluded.value, expires_at=excluded.expires_at",
	[SQL_KV_ADD] = "INSERT INTO kv(key, value, expires_at) VALUES(?1, ?2, ?3) ON CONFLICT(key)"
		       " DO UPDATE SET value=excluded.value, expires_at=excluded.expires_at"
		       " WHERE kv.expires_at>0 AND kv.expires_at<=?4",
	[SQL_KV_SWEEP] = "DELETE FROM kv WHERE key IN (SELECT key FROM kv INDEXED BY kv_expiry"
			 " WHERE expires_at>0 AND expires_at<=?1 ORDER BY expires_at LIMIT 16)",

	/* In the order of enum row_column. */
	[SQL_MOVE_UPLOADS] =
		"SELECT seq, id, kind, status, length, offset, beyond, created_at, touched_at,"
		" completed_at, metadata, manifest, concat, token, owner, delivered_at, ended_at,"
		" removable FROM uploads WHERE seq>?1 ORDER BY seq LIMIT ?2",
	[SQL_MOVE_MESSAGES] =
		"SELECT id, upload_id, sink, name, replaces, data, due_at, attempt, parked_at, "
		"reason"
		" FROM outbox INDEXED BY outbox_group WHERE (upload_id,sink,id)>(?1,?2,?3)"
		" AND (parked_at>0)=?5 ORDER BY upload_id, sink, id LIMIT ?4",
	[SQL_MOVE_PUT_UPLOAD] =
		"INSERT INTO uploads(id, kind, status, length, offset, beyond, fence,"
		" created_at, touched_at, completed_at, delivered_at, ended_at, removable,"
		" token, metadata, manifest, concat, owner)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, nullif(?10,0), ?11, ?12,"
		" ?13, ?14, ?15, ?16, ?17) ON CONFLICT(id) DO NOTHING RETURNING seq",
	[SQL_MOVE_PUT_DELIVERY] =
		"INSERT INTO deliveries(upload, upload_id, target, status, attempt, due_at,"
		" lease_until, next_at, queued_at, ended_at, location, issues, sha256)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, ?6, ?7, ?8, ?9, ?10, ?11)",
	[SQL_MOVE_PUT_MESSAGE] =
		"INSERT INTO outbox(upload_id, sink, name, replaces, data, due_at, attempt, head,"
		" parked_at, reason) VALUES(?1, ?2, ?3, ?4, ?5, iif(?9>0," NEVER
		",?6), ?7, ?8, ?9, ?10)",
	[SQL_MOVE_HAS_MESSAGE] = "SELECT 1 FROM outbox INDEXED BY outbox_group"
				 " WHERE upload_id=?1 AND sink=?2 AND (parked_at>0)=?3 LIMIT 1",
};
