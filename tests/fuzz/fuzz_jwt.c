/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/claims.h"
#include "core/auth/jwt.h"
#include "core/base/err.h"
#include "core/base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Their private halves were thrown away, so that nothing can be signed by them. */
static const char key_set[] =
	"{\"keys\":[{\"kid\":\"RSA\",\"kty\":\"RSA\",\"n\":\"-g_LrFO3OBRyVeVLm"
	"rC8aU7vtKUWuHTsF8CGfSYSwgCxQsGykRqfAkT3ERBit3pkFjJ1T9H2L"
	"ZRnOloNjEpmgQiP1YjVyEdCxlgcd-7oquQZ9N7IW6ihBD4ZVySisCPF7"
	"ldQzx0ri3wXH2i2tjr8CgdZM9ihKZh49BHfdaV9hiRMzUds8Yh39pehN"
	"8cnktsMJgTDlc6LK7B_rEnaIIQ6NZQfKjqnl5N_I078oe6lFLzHv6D_b"
	"wqaWdcPoYycK_hHjMzVYSa3sHpIOtGvsH12YX6MIUJP0I0Ltime9l9K8"
	"Mk2zbJBL9S2jjq4A5XRGIytlH454aYoc074Newb2fnd8Q\",\"e\":\"AQAB"
	"\"},{\"kid\":\"P-256\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"2YosCZUC"
	"DVDurDPgVX1bb_zXVqtRMEfjIS307heX4Sw\",\"y\":\"nctRFavhBMwQ2R"
	"-mtwZ3fRruEwZJtNnOuhsDHB4OTQc\"},{\"kid\":\"Ed25519\",\"kty\":\""
	"OKP\",\"crv\":\"Ed25519\",\"x\":\"0mLBHNyvCdL2I1zOwj-MFVrr_S0ZuY"
	"ZRQvo3ojn3rVQ\"}]}";

/* Whatever a token says, it is taken apart within limits and signed by nobody we know. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwk_set set;
	const struct claims_rules rules = {"https://i", "a", size % 2 == 0, 1800000000000000};
	struct err err = {0};
	struct jwt t;
	if (set.n == 0 && jwk_set_parse(key_set, strlen(key_set), &set, NULL) < 0)
		abort();
	char *text = mem_strndup((const char *)data, size);
	if (jwt_parse(text, &t, &err) == 0) {
		if (jwt_verify(&t, &set) == JWT_GOOD)
			abort();
		if (claims_check(t.claims, &rules, &err) < 0 && err.code != ERR_INVALID)
			abort();
		if (claims_expires_at(t.claims) < 0)
			abort();
		(void)claims_subject(t.claims);
		(void)claims_have_scopes(t.claims, "a b c");
		jwt_free(&t);
	} else if (err.code != ERR_INVALID) {
		abort();
	}
	free(text);
	return 0;
}
