/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_CONFIG_WORLD_H
#define DEX_TEST_CONFIG_WORLD_H

#include "core/base/buf.h"
#include "core/config.h"

/*
 * Tests of the settings: each starts with an empty environment in an empty directory that holds
 * what a checkout has, upload-configs/ and deploy/delivery.yml. What does not go as said fails the
 * test.
 */
struct config_world {
	char dir[64];
	struct config *config; /* of the last run that found nothing wrong, else NULL */
	struct buf problems;   /* of the last run */
};

int config_world_setup(void **state);
int config_world_teardown(void **state);
void config_world_file(const char *path, const char *text);
void config_world_env(const char *name, const char *value);
/* config_load into `config` or `problems`. */
int config_world_run(struct config_world *f, const char *dotenv);
/* Load, and find exactly these problems. */
void config_world_problems(struct config_world *f, const char *dotenv, const char *problems);
/* ${name}=${value} alone makes a problem that starts with ${start}. */
void config_world_refused(
	struct config_world *f, const char *name, const char *value, const char *start);
void config_world_accepted(struct config_world *f, const char *name, const char *value);

#endif
