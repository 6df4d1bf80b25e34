/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_size.h"

#define PARTS_MAX 10000
/* Parts that are kept in reserve for syncs, which send smaller ones. */
#define RESERVE 1000
#define MIB ((uint64_t)1 << 20)
#define PART_MIN (5 * MIB)
#define PART_MAX (5120 * MIB)
#define IN_FLIGHT_BYTES (256 * MIB)

/* Of objects of unknown size: the later the part, the larger. */
static const struct {
	uint32_t until;
	unsigned factor;
} growth[] = {{1000, 1}, {2000, 4}, {3000, 16}, {PARTS_MAX, 64}};

static uint64_t factor_of(uint32_t sent, uint32_t *until_out)
{
	size_t i = 0;

	while (i + 1 < sizeof(growth) / sizeof(growth[0]) && sent >= growth[i].until)
		i++;
	*until_out = growth[i].until;
	return growth[i].factor;
}

size_t blob_s3_size_of_part(uint64_t configured, uint32_t sent, uint64_t sent_bytes,
	uint64_t expected, uint32_t *until_out)
{
	uint64_t size = configured;

	if (expected > sent_bytes) {
		uint32_t left = sent < PARTS_MAX ? PARTS_MAX - sent : 1;
		uint64_t usable = left > RESERVE ? left - RESERVE : left;
		uint64_t want = (expected - sent_bytes + usable - 1) / usable;
		want = (want + MIB - 1) / MIB * MIB;
		if (want > size)
			size = want;
		*until_out = PARTS_MAX;
	} else {
		size *= factor_of(sent, until_out);
	}
	return (size_t)(size < PART_MAX ? size : PART_MAX);
}

uint64_t blob_s3_size_of_synced(uint32_t sent, uint64_t sent_bytes, uint64_t expected)
{
	uint32_t until;

	if (expected > sent_bytes) {
		/* All that follow could be as small as this one. */
		uint64_t left = sent + 1 < PARTS_MAX ? PARTS_MAX - sent - 1 : 1;
		uint64_t need = (expected - sent_bytes + left - 1) / left;
		return need > PART_MIN ? need : PART_MIN;
	}
	return PART_MIN * factor_of(sent, &until);
}

size_t blob_s3_size_in_flight(size_t part_size, size_t configured)
{
	uint64_t most = IN_FLIGHT_BYTES / part_size;

	if (most < 1)
		most = 1;
	return most < configured ? (size_t)most : configured;
}
