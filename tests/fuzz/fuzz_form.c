/* SPDX-License-Identifier: Apache-2.0 */
/* Forms of the upload page; what was parsed is put into a page as well. */
#include "core/base/err.h"
#include "fcgi/ui/form.h"
#include "fcgi/ui/template.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char page[] = "<input value=\"{{a}}\">";
	struct err err = {0};
	struct buf out;
	json_t *form = form_parse((const char *)data, size, &err);

	if (!form)
		return 0;
	buf_init(&out, 1 << 20);
	if (template_render(&out, page, sizeof(page) - 1, form, &err) == 0) {
		/* However the value reads, it stays inside its quotes. */
		const char *value = buf_str(&out) + strlen("<input value=\"");
		if (strcspn(value, "\"<") != strlen(value) - 2 || !strstr(value, "\">"))
			abort();
	}
	buf_free(&out);
	json_decref(form);
	return 0;
}
