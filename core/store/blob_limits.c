/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/blob_impl.h"

#include "core/base/err.h"
#include "core/base/str.h"

int blob_limits_read(const struct blob_option *opts, size_t nopts, const struct blob_part_bounds *b,
	struct blob_limits *out, struct err *err)
{
	const char *size = blob_option_get(opts, nopts, "part_size");
	const char *in_flight = blob_option_get(opts, nopts, "parts_in_flight");
	const char *timeout = blob_option_get(opts, nopts, "request_timeout");
	uint64_t n = BLOB_PARTS_IN_FLIGHT_DEFAULT;

	out->part_size = BLOB_PART_DEFAULT;
	out->timeout_ms = BLOB_TIMEOUT_DEFAULT_MS;
	if (size && *size &&
		(str_to_size(size, &out->part_size) < 0 || out->part_size < b->min ||
			out->part_size > b->max))
		return err_set(err, ERR_INVALID, __func__,
			"option \"part_size\" is not a size from %s", b->text);
	if (in_flight && *in_flight &&
		(str_to_u64(in_flight, BLOB_PARTS_IN_FLIGHT_MAX, &n) < 0 || n == 0))
		return err_set(err, ERR_INVALID, __func__,
			"option \"parts_in_flight\" is not a number from 1 to %d",
			BLOB_PARTS_IN_FLIGHT_MAX);
	if (timeout && *timeout &&
		(str_to_duration_ms(timeout, &out->timeout_ms) < 0 || out->timeout_ms < 1 ||
			out->timeout_ms > BLOB_TIMEOUT_MAX_MS))
		return err_set(err, ERR_INVALID, __func__,
			"option \"request_timeout\" is not a duration up to a day");
	out->parts_in_flight = (size_t)n;
	return 0;
}
