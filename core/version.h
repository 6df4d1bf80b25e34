/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_VERSION_H
#define DEX_VERSION_H

const char *version_release(void); /* "1.0.0" */
const char *version_git_sha(void); /* short commit id, "unknown" outside a checkout */
const char *version_full(void);    /* "1.0.0_abc1234": stage_info.version of reports */

#endif
