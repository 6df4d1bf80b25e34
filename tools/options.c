/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/options.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/version.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 256

enum opt {
	OPT_CONFIG = 256,
	OPT_WATCH,
	OPT_JOBS,
	OPT_LIMIT,
	OPT_UPLOAD,
	OPT_TARGET,
	OPT_RETRY,
	OPT_DROP_PARKED,
	OPT_LIST,
	OPT_JSON,
	OPT_DRY_RUN,
	OPT_EXPIRE,
	OPT_VERIFY,
	OPT_ALL,
	OPT_SAMPLE,
	OPT_SEED,
	OPT_REPORT,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_CSV,
	OPT_MIGRATE,
	OPT_RECOVER,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_VERSION,
	OPT_HELP,
};

struct row {
	const char *name;
	const char *value; /* what it takes, as --help calls it; NULL: nothing */
	enum opt opt;
	const char *help; /* lines; NULL: another name of the row above */
};

static const struct row rows[] = {
	{"config", "FILE", OPT_CONFIG,
		"read settings that the environment does not have from this dotenv\n"
		"file (default: the file that DEX_APPCONF names)"},
	{"appconf", "FILE", OPT_CONFIG, NULL}, /* as the responder calls it */
	{"watch", NULL, OPT_WATCH, "stay, and start within a second of a delivery becoming due"},
	{"jobs", "N", OPT_JOBS, "deliveries at once (default: LISTENER_WORKERS)"},
	{"limit", "N", OPT_LIMIT, "at most N deliveries"},
	{"upload", "ID", OPT_UPLOAD, "only this upload"},
	{"target", "NAME", OPT_TARGET, "only this target"},
	{"retry", NULL, OPT_RETRY, "first queue failed deliveries and parked messages again"},
	{"list", NULL, OPT_LIST,
		"show pending and failed deliveries, and messages that are parked\n"
		"because their sink refuses them, and do nothing else"},
	{"drop-parked", NULL, OPT_DROP_PARKED,
		"forget parked messages (with --upload: those of this upload), and do\n"
		"nothing else. With --dry-run: only tell"},
	{"json", NULL, OPT_JSON, "with --list, --report: as JSON"},
	{"dry-run", NULL, OPT_DRY_RUN, "tell what would be delivered where, and change nothing"},
	{"expire", NULL, OPT_EXPIRE,
		"only keep house: expiry, retention, what crashes left behind"},
	{"verify", NULL, OPT_VERIFY,
		"read stored and delivered files again and hold them against the\n"
		"recorded SHA-256: of one upload (--verify ID), of --all or of a\n"
		"--sample; tell what differs, is missing or cannot be read"},
	{"all", NULL, OPT_ALL, "with --verify: all uploads"},
	{"sample", "N%", OPT_SAMPLE, "with --verify: so many of them, chosen at random"},
	{"seed", "N", OPT_SEED, "with --sample: choose as the run did that told this number"},
	{"report", NULL, OPT_REPORT,
		"list uploads by stream, sender and state, with sizes and how long\n"
		"delivery took, as a table"},
	{"csv", NULL, OPT_CSV, "with --report: a line for each upload, as CSV"},
	{"since", "TIME", OPT_SINCE,
		"with --report, --verify: from TIME on: 2026-01-02T03:04:05Z (UTC), or\n"
		"so long ago: 24h (which is the default of --report)"},
	{"until", "TIME", OPT_UNTIL, "with --report, --verify: before TIME (default: now)"},
	{"migrate-state", "FROM TO", OPT_MIGRATE,
		"move the state while nothing else runs, and tell what was moved; each\n"
		"is sqlite:PATH, or redis for the one at REDIS_CONNECTION_STRING. TO\n"
		"must be empty, or be what an interrupted move has left. With\n"
		"--dry-run: only count"},
	{"recover", NULL, OPT_RECOVER,
		"after the state was lost: register what is in storage again, so that\n"
		"it is delivered anew, and tell what could not be. With --dry-run:\n"
		"only count"},
	{"quiet", NULL, OPT_QUIET, "tell of failures only"},
	{"verbose", NULL, OPT_VERBOSE, "log as well what goes well"},
	{"version", NULL, OPT_VERSION, "show the version and exit"},
	{"help", NULL, OPT_HELP, "show this text and exit"},
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))
#define HELP_COLUMN 22

static const char help_head[] =
	"Usage: dex-deliver [OPTION]...\n"
	"Deliver finished uploads to their targets, send late reports and events, and keep house.\n"
	"\n"
	"Without options: one sweep, until nothing is due. Made for cron: it says nothing when\n"
	"there was nothing to do. Any number of copies may run at once, on one host or many.\n"
	"\n";

static const char help_foot[] =
	"\n"
	"Exit status: 0 all went well, 1 at least one delivery failed, 2 usage or configuration,\n"
	"3 state or storage out of reach, 4 --verify has found something, 5 it was stopped before "
	"its\n"
	"end and had found nothing.\n";

static void print_row(const struct row *r)
{
	int column =
		printf("      --%s%s%s", r->name, r->value ? " " : "", r->value ? r->value : "");
	for (const char *line = r->help; *line;) {
		int len = (int)strcspn(line, "\n");
		/* What is too long for its column has a line of its own. */
		if (column + 2 > HELP_COLUMN) {
			putchar('\n');
			column = 0;
		}
		printf("%*s%.*s\n", HELP_COLUMN - column, "", len, line);
		column = 0;
		line += len + (line[len] == '\n');
	}
}

static void print_help(void)
{
	fputs(help_head, stdout);
	for (size_t i = 0; i < NROWS; i++) {
		if (rows[i].help)
			print_row(&rows[i]);
	}
	fputs(help_foot, stdout);
}

static enum options_result wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static enum options_result wrong(const char *fmt, ...)
{
	va_list ap;
	fputs("dex-deliver: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("; see dex-deliver --help\n", stderr);
	return OPTIONS_WRONG;
}

static enum options_result number(const char *name, const char *text, uint64_t max, size_t *out)
{
	uint64_t value;
	if (str_to_u64(text, max, &value) < 0 || value == 0)
		return wrong("--%s takes a number from 1 to %llu, not \"%s\"", name,
			(unsigned long long)max, text);
	*out = (size_t)value;
	return OPTIONS_RUN;
}

/* A UTC time, or a duration that ended now. */
static enum options_result point(const char *name, const char *text, int64_t *out)
{
	int64_t ms;
	if (clock_parse_rfc3339(text, out) == 0)
		return OPTIONS_RUN;
	if (str_to_duration_ms(text, &ms) < 0)
		return wrong("--%s takes a time such as 2026-01-02T03:04:05Z or 24h, not \"%s\"",
			name, text);
	*out = clock_now() - ms * CLOCK_US_PER_MS;
	return OPTIONS_RUN;
}

static enum options_result percent(const char *text, double *out)
{
	size_t digits = strspn(text, "0123456789.");
	char *end = NULL;
	double n = digits > 0 ? strtod(text, &end) : 0.0;
	if (digits == 0 || end != text + digits || !str_eq(end, "%") || !(n > 0.0 && n <= 100.0))
		return wrong("--sample takes a percentage such as 5%%, not \"%s\"", text);
	*out = n / 100.0;
	return OPTIONS_RUN;
}

static enum options_result take(int opt, const char *value, struct options *out)
{
	switch (opt) {
	case OPT_CONFIG:
		out->config = value;
		break;
	case OPT_WATCH:
		out->watch = true;
		break;
	case OPT_JOBS:
		return number("jobs", value, JOBS_MAX, &out->jobs);
	case OPT_LIMIT:
		return number("limit", value, INT32_MAX, &out->limit);
	case OPT_UPLOAD:
		if (!str_is_uuid(value))
			return wrong("--upload takes the id of an upload, not \"%s\"", value);
		out->upload = value;
		break;
	case OPT_TARGET:
		if (!*value)
			return wrong("--target takes the name of a target");
		out->target = value;
		break;
	case OPT_RETRY:
		out->retry = true;
		break;
	case OPT_DROP_PARKED:
		out->drop_parked = true;
		break;
	case OPT_LIST:
		out->list = true;
		break;
	case OPT_JSON:
		out->json = true;
		break;
	case OPT_DRY_RUN:
		out->dry_run = true;
		break;
	case OPT_EXPIRE:
		out->expire = true;
		break;
	case OPT_VERIFY:
		out->verify = true;
		break;
	case OPT_ALL:
		out->all = true;
		break;
	case OPT_SAMPLE:
		return percent(value, &out->sample);
	case OPT_SEED:
		out->seeded = true;
		if (str_to_u64(value, UINT64_MAX, &out->seed) < 0)
			return wrong("--seed takes a number, not \"%s\"", value);
		break;
	case OPT_REPORT:
		out->report = true;
		break;
	case OPT_CSV:
		out->csv = true;
		break;
	case OPT_SINCE:
		return point("since", value, &out->since);
	case OPT_UNTIL:
		return point("until", value, &out->until);
	case OPT_MIGRATE:
		out->migrate_from = value;
		break;
	case OPT_RECOVER:
		out->recover = true;
		break;
	case OPT_QUIET:
		out->quiet = true;
		break;
	case OPT_VERBOSE:
		out->verbose = true;
		break;
	case OPT_VERSION:
		printf("dex-deliver %s\n", version_full());
		return OPTIONS_DONE;
	case OPT_HELP:
		print_help();
		return OPTIONS_DONE;
	default:
		return OPTIONS_WRONG;
	}
	return OPTIONS_RUN;
}

/* Those of --verify and --report, which only read. */
static enum options_result check_reading(const struct options *o)
{
	bool reads = o->verify || o->report;
	if (reads &&
		(o->watch || o->list || o->dry_run || o->expire || o->retry || o->drop_parked ||
			o->recover || o->migrate_from || o->target || o->limit > 0))
		return wrong("--%s does not go with other work, --target or --limit",
			o->verify ? "verify" : "report");
	if (o->verify && o->report)
		return wrong("--verify and --report exclude each other");
	if (o->verify && (o->upload != NULL) + o->all + (o->sample > 0.0) != 1)
		return wrong("--verify takes one of ID, --all and --sample N%%");
	if (!o->verify && (o->all || o->sample > 0.0))
		return wrong("--all and --sample go with --verify only");
	if (o->seeded && o->sample <= 0.0)
		return wrong("--seed goes with --sample only");
	if (o->report && o->upload)
		return wrong("--report does not go with --upload");
	if ((o->since || o->until) && !(o->report || (o->verify && !o->upload)))
		return wrong("--since and --until go with --report, --verify --all and --sample");
	if (o->since && o->until && o->since >= o->until)
		return wrong("--since is not before --until");
	if (o->csv && (!o->report || o->json))
		return wrong(o->json ? "--csv and --json exclude each other"
				     : "--csv goes with --report only");
	if (o->json && !o->list && !o->report)
		return wrong("--json goes with --list and --report only");
	return OPTIONS_RUN;
}

/* Options that contradict each other. */
static enum options_result check(const struct options *o)
{
	if (o->watch + o->list + o->dry_run + o->expire > 1)
		return wrong("only one of --watch, --list, --dry-run and --expire can be given");
	if (o->recover && (o->migrate_from || o->watch || o->list || o->expire || o->retry ||
				  o->upload || o->target || o->limit > 0))
		return wrong("--recover goes with --config and --dry-run only");
	if (o->migrate_from && (o->watch || o->list || o->expire || o->retry || o->upload ||
				       o->target || o->limit > 0))
		return wrong("--migrate-state goes with --config and --dry-run only");
	if (o->drop_parked && (o->watch || o->list || o->expire || o->retry || o->recover ||
				      o->migrate_from || o->target || o->limit > 0))
		return wrong("--drop-parked goes with --upload and --dry-run only");
	if (o->quiet && o->verbose)
		return wrong("--quiet and --verbose exclude each other");
	if (o->watch && o->limit > 0)
		return wrong("--limit does not go with --watch");
	if (o->retry && (o->list || o->expire))
		return wrong("--retry does not go with %s", o->list ? "--list" : "--expire");
	if (o->expire && (o->upload || o->target || o->limit > 0))
		return wrong("--expire takes all uploads: no --upload, --target or --limit");
	return check_reading(o);
}

enum options_result options_parse(int argc, char **argv, struct options *out)
{
	struct option table[NROWS + 1] = {0};
	for (size_t i = 0; i < NROWS; i++)
		table[i] = (struct option){rows[i].name,
			rows[i].value ? required_argument : no_argument, NULL, (int)rows[i].opt};
	*out = (struct options){0};
	opterr = 0;
	for (;;) {
		/* The word that getopt looks at next, for what is said about it. */
		const char *word = optind < argc ? argv[optind] : "";
		int opt = getopt_long_only(argc, argv, "+:", table, NULL);
		if (opt == -1)
			break;
		if (opt == ':')
			return wrong("option %s needs a value", word);
		if (opt == '?' && optopt >= OPT_CONFIG)
			return wrong("option %s takes no value", word);
		if (opt == '?')
			return wrong("unknown or ambiguous option %s", word);
		enum options_result res = take(opt, optarg, out);
		if (res != OPTIONS_RUN)
			return res;
		if (opt == OPT_MIGRATE && optind == argc)
			return wrong("--migrate-state takes two places");
		if (opt == OPT_MIGRATE)
			out->migrate_to = argv[optind++];
	}
	/* --verify ID */
	if (out->verify && !out->upload && optind + 1 == argc) {
		enum options_result res = take(OPT_UPLOAD, argv[optind++], out);
		if (res != OPTIONS_RUN)
			return res;
	}
	if (optind < argc)
		return wrong("unexpected argument \"%s\"", argv[optind]);
	return check(out);
}
