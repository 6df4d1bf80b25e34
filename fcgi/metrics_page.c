/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/metrics.h"
#include "core/store/state.h"
#include "fcgi/routes.h"

#include <inttypes.h>
#include <sys/statvfs.h>

/* Gauges from the state store: unlike counters of a process they cannot drift. */
static void add_counts(struct http_request *r)
{
	struct state_counts n;

	/* A store out of reach is told by /health; the other figures are still worth having. */
	if (state_counts(r->app->state, clock_now(), &n, r->err) < 0)
		return;
	buf_printf(&r->body,
		"# HELP dex_server_active_uploads Uploads that have begun and are not complete.\n"
		"# TYPE dex_server_active_uploads gauge\n"
		"dex_server_active_uploads %" PRId64 "\n"
		"# HELP dex_server_queue_messages What waits: pending and failed deliveries, "
		"unsent reports and events, and those that are parked because their sink refuses "
		"them.\n"
		"# TYPE dex_server_queue_messages gauge\n"
		"dex_server_queue_messages{queue=\"deliveries\"} %" PRId64 "\n"
		"dex_server_queue_messages{queue=\"failed_deliveries\"} %" PRId64 "\n"
		"dex_server_queue_messages{queue=\"messages\"} %" PRId64 "\n"
		"dex_server_queue_messages{queue=\"parked_messages\"} %" PRId64 "\n",
		n.open_uploads, n.pending_deliveries, n.failed_deliveries, n.late_messages,
		n.parked_messages);
}

/* What df(1) calls available and size. Where the folder is not there, there is nothing to tell. */
static void add_disk(struct http_request *r)
{
	struct statvfs vfs;

	if (statvfs(r->app->config->upload_folder, &vfs) != 0)
		return;
	buf_printf(&r->body,
		"# HELP dex_server_disk_free_bytes Free space where LOCAL_FOLDER_UPLOADS_TUS "
		"lies.\n"
		"# TYPE dex_server_disk_free_bytes gauge\n"
		"dex_server_disk_free_bytes %" PRIu64 "\n"
		"# HELP dex_server_disk_size_bytes Size of the file system where "
		"LOCAL_FOLDER_UPLOADS_TUS lies.\n"
		"# TYPE dex_server_disk_size_bytes gauge\n"
		"dex_server_disk_size_bytes %" PRIu64 "\n",
		(uint64_t)vfs.f_bavail * vfs.f_frsize, (uint64_t)vfs.f_blocks * vfs.f_frsize);
}

void metrics_get(struct http_request *r)
{
	http_text(r, 200, "");
	r->content_type = "text/plain; version=0.0.4; charset=utf-8";
	if (metrics_render(&r->body) < 0)
		return;
	add_disk(r);
	add_counts(r);
}
