/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/migrate.h"

#include "core/app_state.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "core/store/state_move.h"

#include <stdio.h>
#include <unistd.h>

/* A source is never made. */
static int check_source(const char *from, struct err *err)
{
	const char *path = str_starts(from, "sqlite:") ? from + 7 : NULL;

	if (path && access(path, R_OK) < 0)
		return err_errno(err, __func__, "cannot read %s", path);
	return 0;
}

int migrate_state(const struct config *c, const struct app_backends *b, const char *from,
	const char *to, bool dry_run, struct err *err)
{
	struct state_move_counts n;
	struct state *source = NULL;
	struct state *target = NULL;
	int rc = -1;

	if (str_eq(from, to))
		return err_set(err, ERR_INVALID, __func__, "FROM and TO are the same");
	if (check_source(from, err) < 0)
		return -1;
	source = app_state_open_named(c, b, from, err);
	/* What is only looked at is not made. */
	bool absent = dry_run && str_starts(to, "sqlite:") && access(to + 7, F_OK) < 0;
	if (source && !absent)
		target = app_state_open_named(c, b, to, err);
	if (source && (target || absent))
		rc = state_move(source, target, dry_run, &n, err);
	if (rc == 0) {
		printf("%s %llu uploads, %llu deliveries, %llu reports and events",
			dry_run ? "would move" : "moved", (unsigned long long)n.uploads,
			(unsigned long long)n.deliveries, (unsigned long long)n.messages);
		if (n.present > 0)
			printf("; %llu of the uploads had been moved before",
				(unsigned long long)n.present);
		printf("\n");
	}
	state_close(target);
	state_close(source);
	return rc;
}
