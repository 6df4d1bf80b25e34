/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/responder.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "tests/lib/scratch.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENV_MAX 128

char *responder_program(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		abort();
	self[n] = '\0';
	/* BUILD/tests/unit_x beside BUILD/dex-upload */
	*strrchr(self, '/') = '\0';
	*strrchr(self, '/') = '\0';
	return scratch_path(self, "dex-upload");
}

static void put(const char *dir, const char *name, const char *text)
{
	struct err err;
	char *path = scratch_path(dir, name);

	if (fsio_replace(path, text, strlen(text), false, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	free(path);
}

static void make_settings(const char *dir)
{
	struct buf text;

	buf_init(&text, 64 * 1024);
	buf_printf(&text,
		"targets:\n"
		"  here: {name: here, type: file, path: %s/here}\n"
		"routing_groups:\n"
		"  - data_stream_id: dextesting\n"
		"    data_stream_route: testevent1\n"
		"    delivery_targets:\n"
		"      - name: here\n",
		dir);
	put(dir, "delivery.yml", buf_str(&text));
	buf_reset(&text);
	buf_printf(&text,
		"LOCAL_FOLDER_UPLOADS_TUS=%s/uploads\n"
		"LOCAL_REPORTS_FOLDER=%s/reports\n"
		"LOCAL_EVENTS_FOLDER=%s/events\n"
		"UPLOAD_CONFIG_PATH=%s/configs\n"
		"DEX_DELIVERY_CONFIG_FILE=%s/delivery.yml\n"
		"DEX_LOG=%s/log\n",
		dir, dir, dir, dir, dir, dir);
	put(dir, "settings", buf_str(&text));
	buf_free(&text);
}

void responder_make(struct responder *r)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct err err;

	r->pid = 0;
	r->dir = scratch_make();
	r->socket = scratch_path(r->dir, "sock");
	char *configs = scratch_path(r->dir, "configs");
	if (fsio_mkdirs(configs, false, &err) < 0)
		abort();
	free(configs);
	make_settings(r->dir);
	r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->listener < 0 || strlen(r->socket) >= sizeof(address.sun_path))
		abort();
	memcpy(address.sun_path, r->socket, strlen(r->socket) + 1);
	if (bind(r->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(r->listener, 1024) < 0)
		abort();
}

void responder_remove(struct responder *r)
{
	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
	}
	close(r->listener);
	free(r->socket);
	scratch_remove(r->dir);
}

static pid_t run(const struct responder *r, const char *const *env, int in_fd, int out_fd)
{
	char *program = responder_program();
	char *settings = scratch_path(r->dir, "settings");
	char appconf[PATH_MAX + 16];
	char *envp[ENV_MAX];
	char *argv[] = {program, NULL};
	size_t n = 0;

	(void)snprintf(appconf, sizeof(appconf), "DEX_APPCONF=%s", settings);
	envp[n++] = appconf;
	for (; env && *env && n < ENV_MAX - 2; env++)
		envp[n++] = (char *)(uintptr_t)*env;
	envp[n] = NULL;
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (dup2(in_fd, STDIN_FILENO) < 0 ||
			(out_fd >= 0 && dup2(out_fd, STDOUT_FILENO) < 0))
			_exit(126);
		execve(program, argv, envp);
		_exit(127);
	}
	free(program);
	free(settings);
	return pid;
}

pid_t responder_spawn(const struct responder *r, const char *const *env)
{
	return run(r, env, r->listener, -1);
}

void responder_start(struct responder *r, const char *const *env)
{
	r->pid = responder_spawn(r, env);
}

pid_t responder_cgi(const struct responder *r, const char *const *env, int in_fd, int out_fd)
{
	return run(r, env, in_fd, out_fd);
}

int responder_wait(pid_t pid, long timeout_ms)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_mono_ms() > deadline) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		clock_sleep_ms(5);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

long responder_stop(struct responder *r)
{
	int64_t start = clock_mono_ms();

	kill(r->pid, SIGTERM);
	int status = responder_wait(r->pid, 15000);
	r->pid = 0;
	return status == 0 ? (long)(clock_mono_ms() - start) : -1;
}
