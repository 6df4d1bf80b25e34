/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_SCRATCH_H
#define DEX_TEST_SCRATCH_H

/* A new empty directory below $TMPDIR or /tmp; aborts the test program when there is none to be
 * had. */
char *scratch_make(void);
/* Remove it with all that it holds, and free the name. NULL is fine. */
void scratch_remove(char *dir);
/* DIR/NAME, malloc'ed. */
char *scratch_path(const char *dir, const char *name);

#endif
