/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_CRASH_H
#define DEX_BASE_CRASH_H

/*
 * Named crash points, compiled in only with DEX_TESTING: when the environment has
 * DEX_CRASH_AT=name, reaching crash_point("name") kills the process as kill -9 would. With
 * DEX_CRASH_ONCE=FILE the point fires only while FILE does not exist, and makes it first, so that a
 * restarted process goes on.
 */
#ifdef DEX_TESTING
void crash_point(const char *name);
#else
static inline void crash_point(const char *name)
{
	(void)name;
}
#endif

#endif
