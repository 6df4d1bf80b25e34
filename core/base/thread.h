/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_THREAD_H
#define DEX_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/*
 * Start a thread that no signal to the process reaches: those are for the threads that know what
 * to do about them. ${stack}: its size in bytes; 0: the system's. 0, or the error of
 * pthread_create.
 */
int thread_start(pthread_t *out, size_t stack, void *(*fn)(void *), void *arg);

#endif
