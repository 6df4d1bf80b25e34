/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_TRACE_H
#define DEX_BASE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * W3C Trace Context (https://www.w3.org/TR/trace-context/, version 00): which trace the present
 * work belongs to. A thread has one at a time: the log names it in each line, the HTTP client
 * passes it on, and a task (tasks.h) has that of the thread that started it.
 */

#define TRACE_ID_BYTES 16
#define TRACE_SPAN_BYTES 8
#define TRACE_PARENT_SIZE 56 /* the header's text + NUL */
#define TRACE_ID_SIZE 33     /* the trace's id in hex + NUL */
#define TRACE_STATE_MAX 512

struct trace_context {
	unsigned char trace_id[TRACE_ID_BYTES];
	unsigned char span_id[TRACE_SPAN_BYTES];
	bool sampled;                    /* somebody means to keep this trace */
	char state[TRACE_STATE_MAX + 1]; /* tracestate as it came, "" for none */
};

/*
 * Read the headers traceparent and tracestate (NULL: absent). -1 where the first is absent or
 * malformed, and the trace is unknown. A later version than 00 counts as far as 00 goes. A state
 * that is too long or no printable ASCII is left out.
 */
int trace_parse(struct trace_context *out, const char *parent, const char *state);
/*
 * A new trace, sampled, with a span of its own. ${upload_id}: NULL, or a UUID, which without its
 * hyphens becomes the trace's id: whoever knows the upload finds its trace, and all that happens to
 * it is in one.
 */
void trace_new(struct trace_context *out, const char *upload_id);
/* A new span in the trace of ${parent}, which may be ${out} itself. */
void trace_child(struct trace_context *out, const struct trace_context *parent);
/* The header traceparent. Returns ${out}. */
char *trace_format(const struct trace_context *c, char out[TRACE_PARENT_SIZE]);

/* The context of this thread; NULL: none. */
const struct trace_context *trace_current(void);
/*
 * Make ${c} (NULL: none) the context of this thread. It must live until another takes its place.
 * Returns the one before, which the caller gives back when its work is done.
 */
const struct trace_context *trace_enter(const struct trace_context *c);

#endif
