/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/lossy_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX 64

struct pair {
	int client; /* -1: free */
	int server;
	bool script; /* what the client sent last was a script to be run */
};

struct lossy_proxy {
	int listener;
	unsigned port;
	unsigned server_port;
	int stop[2];
	pthread_t thread;
	atomic_int skip;
	atomic_int lose;
	struct pair pairs[PAIRS_MAX];
};

static void die(const char *what)
{
	perror(what);
	abort();
}

static struct sockaddr_in address(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void drop(struct pair *p)
{
	close(p->client);
	close(p->server);
	p->client = -1;
}

static void take_in(struct lossy_proxy *p)
{
	struct sockaddr_in a = address(p->server_port);
	int client = accept(p->listener, NULL, NULL);
	for (int i = 0; client >= 0 && i < PAIRS_MAX; i++) {
		struct pair *new = &p->pairs[i];
		if (new->client >= 0)
			continue;
		int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (server < 0 || connect(server, (struct sockaddr *)&a, sizeof(a)) < 0)
			die("proxy: connect");
		*new = (struct pair){client, server, false};
		return;
	}
	if (client >= 0)
		close(client);
}

static bool holds(const char *data, ssize_t n, const char *word)
{
	return memmem(data, (size_t)n, word, strlen(word)) != NULL;
}

static bool is_to_be_lost(struct lossy_proxy *p)
{
	if (atomic_load(&p->lose) <= 0)
		return false;
	if (atomic_fetch_sub(&p->skip, 1) > 0)
		return false;
	atomic_fetch_sub(&p->lose, 1);
	return true;
}

static void pass_on(struct lossy_proxy *p, struct pair *q, bool to_server)
{
	char data[65536];
	ssize_t n = recv(to_server ? q->client : q->server, data, sizeof(data), 0);
	if (n <= 0) {
		drop(q);
		return;
	}
	if (to_server)
		q->script = holds(data, n, "EVAL");
	else if (q->script && data[0] != '-' && is_to_be_lost(p)) {
		drop(q);
		return;
	}
	for (ssize_t sent = 0; sent < n;) {
		ssize_t k = send(to_server ? q->server : q->client, data + sent, (size_t)(n - sent),
			MSG_NOSIGNAL);
		if (k < 0) {
			drop(q);
			return;
		}
		sent += k;
	}
}

static void *relay(void *arg)
{
	struct lossy_proxy *p = arg;
	for (;;) {
		struct pollfd fds[2 + 2 * PAIRS_MAX] = {{.fd = p->stop[0], .events = POLLIN},
			{.fd = p->listener, .events = POLLIN}};
		for (int i = 0; i < PAIRS_MAX; i++) {
			bool open = p->pairs[i].client >= 0;
			fds[2 + 2 * i] = (struct pollfd){
				.fd = open ? p->pairs[i].client : -1, .events = POLLIN};
			fds[3 + 2 * i] = (struct pollfd){
				.fd = open ? p->pairs[i].server : -1, .events = POLLIN};
		}
		if (poll(fds, 2 + 2 * PAIRS_MAX, -1) < 0)
			die("proxy: poll");
		if (fds[0].revents)
			return NULL;
		for (int i = 0; i < PAIRS_MAX; i++) {
			struct pair *q = &p->pairs[i];
			if (fds[2 + 2 * i].revents)
				pass_on(p, q, true);
			if (q->client >= 0 && fds[3 + 2 * i].revents)
				pass_on(p, q, false);
		}
		if (fds[1].revents)
			take_in(p);
	}
}

struct lossy_proxy *lossy_proxy_start(unsigned server_port)
{
	struct lossy_proxy *p = calloc(1, sizeof(*p));
	struct sockaddr_in a = address(0);
	socklen_t len = sizeof(a);
	if (!p)
		die("proxy");
	p->server_port = server_port;
	for (int i = 0; i < PAIRS_MAX; i++)
		p->pairs[i].client = -1;
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(p->listener, 16) < 0 ||
		getsockname(p->listener, (struct sockaddr *)&a, &len) < 0 || pipe(p->stop) < 0 ||
		pthread_create(&p->thread, NULL, relay, p) != 0)
		die("proxy");
	p->port = ntohs(a.sin_port);
	return p;
}

void lossy_proxy_stop(struct lossy_proxy *p)
{
	if (write(p->stop[1], "x", 1) != 1)
		die("proxy: stop");
	pthread_join(p->thread, NULL);
	for (int i = 0; i < PAIRS_MAX; i++) {
		if (p->pairs[i].client >= 0)
			drop(&p->pairs[i]);
	}
	close(p->listener);
	close(p->stop[0]);
	close(p->stop[1]);
	free(p);
}

unsigned lossy_proxy_port(const struct lossy_proxy *p)
{
	return p->port;
}

void lossy_proxy_lose(struct lossy_proxy *p, int skip, int n)
{
	atomic_store(&p->skip, skip);
	atomic_store(&p->lose, n);
}

int lossy_proxy_left(const struct lossy_proxy *p)
{
	return atomic_load(&p->lose);
}
