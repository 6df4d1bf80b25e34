/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_PUT_TEXT_H
#define DEX_TEST_PUT_TEXT_H

struct blob_store;

/* Make ${key} hold ${text}, whatever it held before; NULL removes it. A failure fails the test. */
void put_text(struct blob_store *store, const char *key, const char *text);

#endif
