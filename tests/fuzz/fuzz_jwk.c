/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/jws.h"
#include "core/base/err.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A key that is taken can be used: a signature of zeros is checked by it, and is none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const algs[] = {"RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"};
	static const unsigned char zeros[1024];
	static const size_t sizes[] = {0, 64, 96, 114, 132, 256, 512};
	struct err err = {0};
	struct jwk_set set;
	if (jwk_set_parse((const char *)data, size, &set, &err) < 0) {
		if (err.code != ERR_INVALID || set.n != 0)
			abort();
		return 0;
	}
	if (set.n == 0 || set.n > JWK_KEYS_MAX)
		abort();
	for (size_t i = 0; i < set.n && i < 4; i++) {
		for (size_t a = 0; a < sizeof algs / sizeof algs[0]; a++) {
			if (!jws_fits(algs[a], &set.keys[i]))
				continue;
			for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
				(void)jws_verify(algs[a], &set.keys[i], "data", 4, zeros, sizes[s]);
		}
	}
	jwk_set_free(&set);
	return 0;
}
