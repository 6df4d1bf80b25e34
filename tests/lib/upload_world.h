/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_UPLOAD_WORLD_H
#define DEX_TEST_UPLOAD_WORLD_H

#include "core/app.h"
#include "core/base/err.h"
#include "core/tus/upload.h"
#include "tests/lib/lossy_proxy.h"
#include "tests/lib/redis_server.h"

/*
 * What the life of an upload needs: the real state store and locks, a file storage that can fail
 * (blob_fault.h), hooks that count, and bodies that follow a script.
 */
struct upload_world {
	char *dir;
	struct config config;
	struct app app;
	int completions; /* calls of the hooks */
	int progresses;
	struct redis_server redis; /* of upload_world_setup_redis */
	struct lossy_proxy *proxy; /* in front of it */
};

/* cmocka set-up and teardown; *state is the world. */
int upload_world_setup(void **state);
/* The same with a storage that is stored by sync (blob_memory.h), which can fail too. */
int upload_world_setup_by_sync(void **state);
/* The same as the first one with state and locks in Redis, which is met through a proxy. */
int upload_world_setup_redis(void **state);
int upload_world_teardown(void **state);

struct step { /* of a body */
	enum body_result result;
	const char *text;
};
struct patch {
	int64_t offset, length;
	const char *checksum; /* Upload-Checksum, or NULL */
	const struct step *steps;
	size_t n;
	int64_t declared; /* Content-Length or -1 */
};
#define PATCH(at, sum, ...)                                        \
	(&(const struct patch){(at), UPLOAD_LENGTH_UNKNOWN, (sum), \
		(const struct step[]){__VA_ARGS__},                \
		sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step), -1})

/* Create an upload of ${length} (${kind} CONCAT_NONE or CONCAT_PARTIAL). */
void upload_world_create(
	struct upload_world *w, enum headers_concat_kind kind, int64_t length, char id[UUID_SIZE]);
/* Receive into what is held: ERR_NONE or the error's code. */
enum err_code upload_world_receive(
	struct upload_world *w, struct upload_hold *hold, const struct patch *p);
/* Run one PATCH: ERR_NONE or the error's code, and the offset afterwards. */
enum err_code upload_world_patch(
	struct upload_world *w, const char *id, const struct patch *p, int64_t *offset);
/* The offset a newcomer finds; ${status} may be NULL. */
int64_t upload_world_offset(struct upload_world *w, const char *id, enum upload_status *status);
/* Storage holds exactly ${text}. */
void upload_world_assert_stored(struct upload_world *w, const char *id, const char *text);
/* Bytes that a dead process left in storage from ${at} on, which `state` does not know. */
void upload_world_leave_surplus(
	struct upload_world *w, const char *id, uint64_t at, const char *text);

#endif
