/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_LOSSY_PROXY_H
#define DEX_TEST_LOSSY_PROXY_H

/*
 * A relay on 127.0.0.1 in front of a Redis server, which loses replies when it is told to: a script
 * is run, but whoever asked for it meets a broken connection.
 */

struct lossy_proxy;

struct lossy_proxy *lossy_proxy_start(unsigned server_port); /* aborts when it cannot */
void lossy_proxy_stop(struct lossy_proxy *p);
unsigned lossy_proxy_port(const struct lossy_proxy *p);
/* Lose the replies to the next ${n} scripts that the server runs, but for the first ${skip}. */
void lossy_proxy_lose(struct lossy_proxy *p, int skip, int n);
/* How many are still to be lost. */
int lossy_proxy_left(const struct lossy_proxy *p);

#endif
