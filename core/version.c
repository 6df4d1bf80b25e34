/* SPDX-License-Identifier: Apache-2.0 */
#include "core/version.h"

const char *version_release(void)
{
	return DEX_VERSION;
}

const char *version_git_sha(void)
{
	return DEX_GIT_SHA;
}

const char *version_full(void)
{
	return DEX_VERSION "_" DEX_GIT_SHA;
}
