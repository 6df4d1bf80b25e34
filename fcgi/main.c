/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/registry.h"
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/config.h"
#include "core/version.h"
#include "fcgi/confine.h"
#include "fcgi/health.h"
#include "fcgi/serve_cgi.h"
#include "fcgi/serve_fastcgi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* dex-upload: the responder. As a CGI program it serves one request, else FastCGI on descriptor 0.
 */

#define PROGRAM "dex-upload"
#define PROBLEMS_MAX (size_t)(256 * 1024)
#define REFUSE_MS 3000
#define HELP_MAX (size_t)(256 * 1024)

enum { EXIT_USAGE = 2, EXIT_OUT_OF_REACH = 3 };

struct options {
	const char *appconf;
	bool check;
	int (*help_config)(struct buf *out);
	bool version;
	bool help;
};

static const char usage[] =
	"usage: dex-upload [--appconf FILE] [--check-config]\n"
	"       dex-upload --help-config[=dotenv|=markdown|=man] | --version | --help\n"
	"\n"
	"Serves resumable uploads (tus 1.0.0) over FastCGI on the listening socket that is its "
	"standard\n"
	"input, or one request as a CGI program. A web server passes requests on; start it like\n"
	"\n"
	"    spawn-fcgi -n -s /run/dex.sock -b 4096 -- /usr/local/bin/dex-upload --appconf "
	"/etc/dex.env\n"
	"\n"
	"  --appconf FILE      settings (NAME=value lines) that the environment does not give;\n"
	"                      also -appconf FILE, -appconf=FILE, and the variable DEX_APPCONF\n"
	"  --check-config      check the settings and every file they name, print what is in "
	"force\n"
	"  --help-config       list all settings; =dotenv: as a file to fill in, =markdown: as a "
	"table,\n"
	"                      =man: as sections of a manual page\n"
	"  --version           show the version and exit\n"
	"  --help              show this text and exit\n"
	"\n"
	"Exit status: 0 fine, 2 usage or configuration, 3 storage or state out of reach.\n";

static const struct app_backends backends = {
	.blob = registry_blob,
	.lock = registry_lock,
	.publish = registry_publish,
	.state = registry_state,
	.subscribe = registry_subscribe,
};

/* --- the command line --- */

static bool parse_help_config(const char *arg, struct options *o)
{
	static const struct {
		const char *name;
		int (*fn)(struct buf *out);
	} forms[] = {
		{"--help-config", config_help},
		{"--help-config=dotenv", config_dotenv_example},
		{"--help-config=markdown", config_markdown},
		{"--help-config=man", config_man},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (str_eq(arg, forms[i].name))
			o->help_config = forms[i].fn;
	}
	return o->help_config != NULL;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		const char *name = str_starts(arg, "--") ? arg + 1 : arg;
		if (str_eq(name, "-appconf")) {
			if (++i == argc) {
				fprintf(stderr, PROGRAM ": %s needs a file\n%s", arg, usage);
				return -1;
			}
			o->appconf = argv[i];
		} else if (str_starts(name, "-appconf=")) {
			o->appconf = strchr(arg, '=') + 1;
		} else if (str_eq(arg, "--check-config")) {
			o->check = true;
		} else if (str_eq(arg, "--version")) {
			o->version = true;
		} else if (str_eq(arg, "--help")) {
			o->help = true;
		} else if (!parse_help_config(arg, o)) {
			fprintf(stderr, PROGRAM ": unknown argument \"%s\"\n%s", arg, usage);
			return -1;
		}
	}
	return 0;
}

static int print_help_config(const struct options *o)
{
	struct buf text;

	buf_init(&text, HELP_MAX);
	int rc = o->help_config(&text);
	if (rc == 0)
		fputs(buf_str(&text), stdout);
	buf_free(&text);
	return rc == 0 ? EXIT_SUCCESS : EXIT_USAGE;
}

static void print_warnings(const struct buf *warnings)
{
	for (const char *line = buf_str(warnings); *line;) {
		int len = (int)strcspn(line, "\n");
		fprintf(stderr, "warning: %.*s\n", len, line);
		line += len + (line[len] == '\n');
	}
}

static int check_config(const struct options *o)
{
	struct config *config = NULL;
	struct buf problems, warnings, dump;

	buf_init(&problems, PROBLEMS_MAX);
	buf_init(&warnings, PROBLEMS_MAX);
	buf_init(&dump, HELP_MAX);
	if (config_load(o->appconf, &config, &problems) == 0) {
		app_check(config, &backends, &problems, &warnings);
		if (config_dump(config, &dump) == 0)
			fputs(buf_str(&dump), stdout);
	}
	fflush(stdout);
	fputs(buf_str(&problems), stderr);
	print_warnings(&warnings);
	int status = problems.len == 0 ? EXIT_SUCCESS : EXIT_USAGE;
	config_free(config);
	buf_free(&dump);
	buf_free(&warnings);
	buf_free(&problems);
	return status;
}

/* --- serving --- */

/* One log line per problem, for the web server's or the supervisor's log. */
static void log_problems(const struct buf *problems)
{
	const char *line = buf_str(problems);

	while (*line) {
		struct buf one;
		size_t len = strcspn(line, "\n");
		buf_init(&one, len);
		buf_add(&one, line, len);
		LOG(LOG_LEVEL_ERROR, "configuration", log_str("error", buf_str(&one)));
		buf_free(&one);
		line += len + (line[len] == '\n');
	}
}

/* Read the settings and open the log by them; what is wrong is logged. ${appconf}: NULL for none
 * named. */
static struct config *load_config(const char *appconf)
{
	struct config *config = NULL;
	struct err err = {0};
	struct buf problems;

	log_set_common(PROGRAM, NULL);
	buf_init(&problems, PROBLEMS_MAX);
	if (config_load(appconf, &config, &problems) < 0) {
		log_problems(&problems);
		buf_free(&problems);
		return NULL;
	}
	buf_free(&problems);
	enum log_format format = str_eq(config->log_format, "json") ? LOG_JSON : LOG_LOGFMT;
	enum log_level level = config->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	log_set_common(PROGRAM, config->environment);
	if (log_open(config->log_dest, level, format, &err) < 0) {
		LOG(LOG_LEVEL_ERROR, "the log cannot be opened",
			log_str("destination", config->log_dest), log_err(&err));
		config_free(config);
		return NULL;
	}
	return config;
}

/* What app_open failed at: something the administrator wrote, or a service that is away. */
static int status_of(const struct err *err)
{
	switch (err->code) {
	case ERR_INVALID:
	case ERR_NOT_FOUND:
	case ERR_EXISTS:
	case ERR_TOO_LARGE:
	case ERR_UNSUPPORTED:
		return EXIT_USAGE;
	default:
		return EXIT_OUT_OF_REACH;
	}
}

static int serve_cgi(void)
{
	struct err err = {0};
	struct app app;
	struct config *config = load_config(NULL);

	if (!config) {
		serve_cgi_refuse();
		return EXIT_USAGE;
	}
	if (serve_cgi_init(&err) < 0 || confine_enter(config, &backends, true, &err) < 0 ||
		app_open(&app, config, &backends, false, &err) < 0) {
		LOG(LOG_LEVEL_ERROR, "the service cannot be started", log_err(&err));
		serve_cgi_refuse();
		config_free(config);
		return status_of(&err);
	}
	serve_cgi_run(&app);
	if (!health_close())
		_exit(EXIT_SUCCESS);
	app_close(&app);
	config_free(config);
	return EXIT_SUCCESS;
}

/* What the service needs is not there: told to clients for a while, then the supervisor tries
 * again. */
static int refuse(const struct err *err, struct config *config)
{
	if (err)
		LOG(LOG_LEVEL_ERROR, "the service cannot be started", log_err(err));
	serve_fastcgi_refuse(REFUSE_MS);
	config_free(config);
	return err ? status_of(err) : EXIT_USAGE;
}

static int serve_fastcgi(const struct options *o)
{
	struct err err = {0};
	struct app app;
	struct config *config = load_config(o->appconf);
	int rc;

	if (!config)
		return refuse(NULL, NULL);
	if (serve_fastcgi_init(&err) < 0 || confine_enter(config, &backends, false, &err) < 0 ||
		app_open(&app, config, &backends, true, &err) < 0)
		return refuse(&err, config);
	rc = serve_fastcgi_run(&app, &err);
	if (rc < 0)
		LOG(LOG_LEVEL_ERROR, "the service cannot be started", log_err(&err));
	/* What still runs would use the app while it is being closed. */
	if (rc > 0 || !health_close())
		_exit(EXIT_SUCCESS);
	app_close(&app);
	config_free(config);
	return rc < 0 ? EXIT_OUT_OF_REACH : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options o = {0};

	/* A CGI program's arguments are the words of the client's query. */
	if (serve_cgi_wanted())
		return serve_cgi();
	if (parse_options(argc, argv, &o) < 0)
		return EXIT_USAGE;
	if (o.help) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	if (o.version) {
		printf(PROGRAM " %s\n", version_full());
		return EXIT_SUCCESS;
	}
	if (o.help_config)
		return print_help_config(&o);
	if (o.check)
		return check_config(&o);
	if (!serve_fastcgi_possible()) {
		fprintf(stderr, PROGRAM ": standard input is no listening socket\n%s", usage);
		return EXIT_USAGE;
	}
	serve_fastcgi_make_blocking();
	serve_fastcgi_restrain_heap(argv);
	return serve_fastcgi(&o);
}
