/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_SANDBOX_H
#define DEX_FCGI_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a process can never do again, whatever is made of it: landlock(7) lets it reach the named
 * files only and execute none, a seccomp(2) filter denies the calls that a server has no use for
 * (new programs and processes, other processes' memory, mounts, namespaces, modules, clocks …) with
 * EPERM, no_new_privs holds for good. Open descriptors stay as they are.
 */

struct err;

enum sandbox_access {
	SANDBOX_LIST,  /* see the names in folders, and make folders */
	SANDBOX_READ,  /* see the names, read files */
	SANDBOX_WRITE, /* also write, make, rename and remove files and folders */
};
struct sandbox_rule {
	const char *path; /* a folder and all beneath it, or a file; passed over where missing */
	enum sandbox_access access;
};

struct sandbox_state { /* what is in force */
	int landlock;  /* version of the kernel's interface; 0: not */
	bool seccomp;
};

/*
 * To be called before the first thread is started: it holds for the caller and its future threads.
 * -1 (ERR_UNSUPPORTED) where the kernel lacks one of both and ${required} is set; what was in force
 * by then stays so.
 */
int sandbox_enter(const struct sandbox_rule *rules, size_t n, bool required,
	struct sandbox_state *out, struct err *err);

#endif
