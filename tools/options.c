/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/options.h"

#include "core/base/str.h"
#include "core/version.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
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
	OPT_LIST,
	OPT_JSON,
	OPT_DRY_RUN,
	OPT_EXPIRE,
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
	{"retry", NULL, OPT_RETRY, "first queue failed deliveries again"},
	{"list", NULL, OPT_LIST, "show pending and failed deliveries, and do nothing else"},
	{"json", NULL, OPT_JSON, "with --list: as JSON"},
	{"dry-run", NULL, OPT_DRY_RUN, "tell what would be delivered where, and change nothing"},
	{"expire", NULL, OPT_EXPIRE,
		"only keep house: expiry, retention, what crashes left behind"},
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
	"3 state or storage out of reach.\n";

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
	if (o->json && !o->list)
		return wrong("--json goes with --list only");
	if (o->quiet && o->verbose)
		return wrong("--quiet and --verbose exclude each other");
	if (o->watch && o->limit > 0)
		return wrong("--limit does not go with --watch");
	if (o->retry && (o->list || o->expire))
		return wrong("--retry does not go with %s", o->list ? "--list" : "--expire");
	if (o->expire && (o->upload || o->target || o->limit > 0))
		return wrong("--expire takes all uploads: no --upload, --target or --limit");
	return OPTIONS_RUN;
}

enum options_result options_parse(int argc, char **argv, struct options *out)
{
	struct option table[NROWS + 1] = {0};
	for (size_t i = 0; i < NROWS; i++)
		table[i] = (struct option){rows[i].name,
			rows[i].value ? required_argument : no_argument, NULL, rows[i].opt};
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
	if (optind < argc)
		return wrong("unexpected argument \"%s\"", argv[optind]);
	return check(out);
}
