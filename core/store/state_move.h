/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_STATE_MOVE_H
#define DEX_STORE_STATE_MOVE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Move a whole state from one store to another, of the same kind or not, while nobody else uses
 * either of them. The source is left as it is. Shared key-values stay behind: they are throttles
 * and copies of what others know, and are made anew. So do leases and fencing tokens.
 *
 * The destination must be empty. A mark in it tells that a move has begun; after a crash the same
 * move goes on: an upload with its deliveries is one transaction, so are the messages of one upload
 * and sink, and what is there already is left alone. The mark goes with the last of it.
 */

struct state;
struct err;

struct state_move_counts {
	uint64_t uploads;
	uint64_t deliveries;
	uint64_t messages;
	uint64_t present; /* uploads that an earlier run had moved */
};

/*
 * ${dry_run}: count what the source has, and look whether the destination (NULL: there is none yet)
 * could take it. -1 with ERR_EXISTS where it is not empty.
 */
int state_move(struct state *from, struct state *to, bool dry_run, struct state_move_counts *out,
	struct err *err);

#endif
