/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/texts.h"

#include <string.h>

struct text {
	const char *name;
	const char *text;
};

#define ROW(name, text) {#name, text},

static const struct text of_pages[] = {TEXTS_OF_PAGES(ROW)};
static const struct text of_scripts[] = {TEXTS_OF_SCRIPTS(ROW)};

const char *texts_get(const char *name)
{
	for (size_t i = 0; i < sizeof(of_pages) / sizeof(of_pages[0]); i++) {
		if (strcmp(of_pages[i].name, name) == 0)
			return of_pages[i].text;
	}
	return NULL;
}

json_t *texts_of_scripts(void)
{
	json_t *texts = json_object();

	for (size_t i = 0; i < sizeof(of_scripts) / sizeof(of_scripts[0]); i++)
		json_object_set_new(texts, of_scripts[i].name, json_string(of_scripts[i].text));
	return texts;
}
