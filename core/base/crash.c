/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/crash.h"

#ifdef DEX_TESTING

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void crash_point(const char *name)
{
	const char *at = getenv("DEX_CRASH_AT");
	if (!at || strcmp(at, name) != 0)
		return;
	const char *once = getenv("DEX_CRASH_ONCE");
	if (once) {
		int fd = open(once, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0)
			return;
		close(fd);
	}
	kill(getpid(), SIGKILL);
	pause();
}

#else

typedef int crash_is_empty_in_release_builds;

#endif
