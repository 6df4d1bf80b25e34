/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a browser brings back: a Cookie field, in which sealed logins and their list are looked for.
 * The first line of the input is the field, the second a way back.
 */
#include "fcgi/cookie.h"
#include "fcgi/ui/login_cookie.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_logins(const struct seal_key *key, const char *header)
{
	static const char state[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	struct login_progress p;
	const char *value;
	size_t len;

	while ((value = cookie_next(&header, "dex_login", &len))) {
		/* Nobody has the key: it can be opened only where this very value was sealed. */
		if (login_cookie_read(key, state, value, len, 0, &p) == 0 && !login_is_path(p.back))
			abort();
	}
}

static void read_list(const char *header)
{
	static const char state[] = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";
	char gone[OIDC_RANDOM_SIZE];
	struct buf list;
	size_t len = 0;

	const char *value = cookie_next(&header, "dex_logins", &len);
	buf_init(&list, 1024);
	login_list_add(value, value ? len : 0, state, &list, gone);
	if (list.overflow || list.len > LOGINS_MAX * OIDC_RANDOM_SIZE - 1 ||
		buf_str(&list)[strspn(buf_str(&list), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"
						      "rstuvwxyz0123456789-_.")] != '\0' ||
		(gone[0] && !login_is_state(gone, strlen(gone))))
		abort();
	buf_free(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct seal_key key;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	char *back = strchr(text, '\n');
	if (back)
		*back++ = '\0';
	login_cookie_key("a key of the fuzz target, thirty-two bytes", &key);
	read_logins(&key, text);
	read_list(text);
	if (back && login_is_path(back) &&
		(back[0] != '/' || back[1] == '/' || strpbrk(back, "\\ \t\r\n\"<>")))
		abort();
	free(text);
	return 0;
}
