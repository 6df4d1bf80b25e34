/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_STATE_DUMP_H
#define DEX_TEST_STATE_DUMP_H

struct state;

/*
 * All that a store has for those who work with it, as text: uploads with their deliveries, and
 * messages, each in one order whatever the store's own is; ids of deliveries and messages, leases
 * and fencing tokens are left out. The caller frees it. What cannot be read ends the test program.
 */
char *state_dump(struct state *s);

#endif
