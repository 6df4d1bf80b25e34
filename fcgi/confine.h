/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_CONFINE_H
#define DEX_FCGI_CONFINE_H

#include "core/app.h"

/*
 * The sandbox of the responder, as DEX_SANDBOX asks for it: which files it may reach by its
 * settings. It writes in the folders of uploads, state, reports, events, metrics and the log; it
 * reads what it is configured by, keys and tokens of object stores, and what the system's libraries
 * need (resolver, certificates, time zones, modules that are loaded late). Delivery targets are
 * only looked at, and made. Its own folders are made, as they could not be allowed later.
 *
 * Before the first thread. -1 + ${err}: DEX_SANDBOX=on, and the kernel cannot. ${cgi}: do not log
 * with each request what is in force.
 */
int confine_enter(
	const struct config *c, const struct app_backends *backends, bool cgi, struct err *err);

#endif
