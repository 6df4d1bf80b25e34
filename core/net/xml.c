/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/xml.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <expat.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32
#define PATH_MAX_BYTES 4096
#define TEXT_MAX ((size_t)64 << 10)
#define WHITE " \t\r\n"

/* Temporary keys come as XML. */
static const XML_Memory_Handling_Suite wiping = {malloc, mem_wiping_realloc, mem_wiping_free};

struct parser {
	XML_Parser expat;
	xml_element_fn *fn;
	void *arg;
	struct buf path;
	struct buf text;
	size_t depth;
	bool leaf;           /* the element that begun last has not ended */
	const char *failure; /* NULL: none of ours */
};

static void stop(struct parser *p, const char *failure)
{
	if (!p->failure)
		p->failure = failure;
	/* It fails when it is stopped already, which is just as well. */
	(void)XML_StopParser(p->expat, XML_FALSE);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
	const XML_Char *public, int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	stop(arg, "a document type is not wanted");
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	(void)attributes;
	struct parser *p = arg;
	const char *colon = strrchr(name, ':');
	if (p->failure)
		return;
	if (++p->depth > DEPTH_MAX)
		stop(p, "its elements lie too deep");
	else if (buf_printf(&p->path, "%s%s", p->depth > 1 ? "/" : "",
			 colon && colon[1] ? colon + 1 : name) != 0)
		stop(p, "the names of its elements are too long");
	buf_reset(&p->text);
	p->leaf = true;
}

static void on_text(void *arg, const XML_Char *text, int len)
{
	struct parser *p = arg;
	if (!p->failure && buf_add(&p->text, text, (size_t)len) != 0)
		stop(p, "the text of an element is too long");
}

static void on_end(void *arg, const XML_Char *name)
{
	(void)name;
	struct parser *p = arg;
	if (p->failure)
		return;
	const char *text = buf_str(&p->text);
	/* What indents the elements of a pretty print is no text. */
	if (!p->leaf && text[strspn(text, WHITE)] == '\0')
		text = "";
	p->leaf = false;
	if (p->fn(p->arg, buf_str(&p->path), text) != 0) {
		stop(p, "its content was refused");
		return;
	}
	buf_reset(&p->text);
	char *slash = p->path.data ? strrchr(p->path.data, '/') : NULL;
	if (slash) {
		*slash = '\0';
		p->path.len = (size_t)(slash - p->path.data);
	} else {
		buf_reset(&p->path);
	}
	p->depth--;
}

int xml_parse(const char *data, size_t len, xml_element_fn *fn, void *arg, struct err *err)
{
	if (len > INT_MAX)
		return err_set(err, ERR_INVALID, __func__, "XML answer: it is too long");
	struct parser p = {.fn = fn, .arg = arg};
	buf_init(&p.path, PATH_MAX_BYTES);
	buf_init_secret(&p.text, TEXT_MAX);
	/* The only encoding that is asked for; what the document declares does not count. */
	p.expat = XML_ParserCreate_MM("UTF-8", &wiping, NULL);
	if (!p.expat)
		return err_set(err, ERR_UNAVAILABLE, __func__, "no memory for an XML parser");
	XML_SetUserData(p.expat, &p);
	XML_SetStartDoctypeDeclHandler(p.expat, on_doctype);
	XML_SetElementHandler(p.expat, on_start, on_end);
	XML_SetCharacterDataHandler(p.expat, on_text);
	int rc = 0;
	if (XML_Parse(p.expat, data ? data : "", (int)len, XML_TRUE) != XML_STATUS_OK ||
		p.failure) {
		const char *why =
			p.failure ? p.failure : XML_ErrorString(XML_GetErrorCode(p.expat));
		rc = err_set(err, ERR_INVALID, __func__, "XML answer, line %lu: %s",
			(unsigned long)XML_GetCurrentLineNumber(p.expat), why);
	}
	XML_ParserFree(p.expat);
	buf_free(&p.path);
	buf_free(&p.text);
	return rc;
}

int xml_escape(struct buf *out, const char *text)
{
	int rc = 0;
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '&')
			rc |= buf_add_str(out, "&amp;");
		else if (c == '<')
			rc |= buf_add_str(out, "&lt;");
		else if (c == '>')
			rc |= buf_add_str(out, "&gt;");
		else if (c == '"')
			rc |= buf_add_str(out, "&quot;");
		else if (c < 0x20 || c == 0x7f)
			rc |= buf_printf(out, "&#%u;", (unsigned)c);
		else
			rc |= buf_add_char(out, *text);
	}
	return rc;
}
