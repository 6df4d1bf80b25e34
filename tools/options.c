/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/options.h"

#include "core/base/str.h"
#include "core/version.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

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

static const struct option table[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"appconf", required_argument, NULL, OPT_CONFIG}, /* as the responder calls it */
	{"watch", no_argument, NULL, OPT_WATCH},
	{"jobs", required_argument, NULL, OPT_JOBS},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"upload", required_argument, NULL, OPT_UPLOAD},
	{"target", required_argument, NULL, OPT_TARGET},
	{"retry", no_argument, NULL, OPT_RETRY},
	{"list", no_argument, NULL, OPT_LIST},
	{"json", no_argument, NULL, OPT_JSON},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"expire", no_argument, NULL, OPT_EXPIRE},
	{"migrate-state", required_argument, NULL, OPT_MIGRATE},
	{"recover", no_argument, NULL, OPT_RECOVER},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"Usage: dex-deliver [OPTION]...\n"
	"Deliver finished uploads to their targets, send late reports and events, and keep house.\n"
	"\n"
	"Without options: one sweep, until nothing is due. Made for cron: it says nothing when\n"
	"there was nothing to do. Any number of copies may run at once, on one host or many.\n"
	"\n"
	"      --config FILE   read settings that the environment does not have from this dotenv\n"
	"                      file (default: the file that DEX_APPCONF names)\n"
	"      --watch         stay, and start within a second of a delivery becoming due\n"
	"      --jobs N        deliveries at once (default: LISTENER_WORKERS)\n"
	"      --limit N       at most N deliveries\n"
	"      --upload ID     only this upload\n"
	"      --target NAME   only this target\n"
	"      --retry         first queue failed deliveries again\n"
	"      --list          show pending and failed deliveries, and do nothing else\n"
	"      --json          with --list: as JSON\n"
	"      --dry-run       tell what would be delivered where, and change nothing\n"
	"      --expire        only keep house: expiry, retention, what crashes left behind\n"
	"      --migrate-state FROM TO\n"
	"                      move the state while nothing else runs, and tell what was moved; "
	"each\n"
	"                      is sqlite:PATH, or redis for the one at REDIS_CONNECTION_STRING. "
	"TO\n"
	"                      must be empty, or be what an interrupted move has left. With\n"
	"                      --dry-run: only count\n"
	"      --recover       after the state was lost: register what is in storage again, so "
	"that it is\n"
	"                      delivered anew, and tell what could not be. With --dry-run: only "
	"count\n"
	"      --quiet         tell of failures only\n"
	"      --verbose       log as well what goes well\n"
	"      --version       show the version and exit\n"
	"      --help          show this text and exit\n"
	"\n"
	"Exit status: 0 all went well, 1 at least one delivery failed, 2 usage or configuration,\n"
	"3 state or storage out of reach.\n";

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
		fputs(help, stdout);
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
