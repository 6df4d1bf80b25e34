/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_tls.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct redis_tls {
	SSL_CTX *ctx;
	BIO_METHOD *socket; /* as OpenSSL's own, but for SIGPIPE */
};

struct redis_tls_end {
	SSL *ssl;
	int fd;
};

static int bio_write(BIO *b, const char *data, int len)
{
	const struct redis_tls_end *e = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	ssize_t n;
	do
		n = send(e->fd, data, (size_t)len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_write(b);
	return (int)n;
}

static int bio_read(BIO *b, char *data, int len)
{
	const struct redis_tls_end *e = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	ssize_t n;
	do
		n = recv(e->fd, data, (size_t)len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_read(b);
	return (int)n;
}

static long bio_ctrl(BIO *b, int what, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return what == BIO_CTRL_FLUSH;
}

/* ${what}, and what OpenSSL says to it. */
static int failed(struct err *err, enum err_code code, const char *what)
{
	char text[160];
	unsigned long n = ERR_get_error();
	ERR_error_string_n(n, text, sizeof(text));
	const char *reason = n ? ERR_reason_error_string(n) : NULL;
	ERR_clear_error();
	return err_set(err, code, "redis_tls", "%s%s%s", what, n ? ": " : "",
		n ? (reason ? reason : text) : "");
}

static int load(struct redis_tls *t, const char *ca_file, const char *cert_file,
	const char *key_file, struct err *err)
{
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	int ok = ca_file ? SSL_CTX_load_verify_file(t->ctx, ca_file)
			 : SSL_CTX_set_default_verify_paths(t->ctx);
	if (ok != 1)
		return failed(err, ERR_INVALID,
			"Redis: no certificates of authorities can be read (ca_file)");
	if (!cert_file)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(t->ctx, cert_file) != 1)
		return failed(err, ERR_INVALID, "Redis: cert_file cannot be used");
	if (SSL_CTX_use_PrivateKey_file(t->ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(t->ctx) != 1)
		return failed(err, ERR_INVALID, "Redis: key_file cannot be used");
	return 0;
}

struct redis_tls *redis_tls_new(
	const char *ca_file, const char *cert_file, const char *key_file, struct err *err)
{
	struct redis_tls *t = mem_zalloc(sizeof(*t));
	t->ctx = SSL_CTX_new(TLS_client_method());
	t->socket = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "redis");
	if (!t->ctx || !t->socket || BIO_meth_set_write(t->socket, bio_write) != 1 ||
		BIO_meth_set_read(t->socket, bio_read) != 1 ||
		BIO_meth_set_ctrl(t->socket, bio_ctrl) != 1) {
		failed(err, ERR_IO, "Redis: TLS cannot be set up");
		goto fail;
	}
	if (load(t, ca_file, cert_file, key_file, err) < 0)
		goto fail;
	return t;

fail:
	redis_tls_free(t);
	return NULL;
}

void redis_tls_free(struct redis_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	BIO_meth_free(t->socket);
	free(t);
}

/* Whom the certificate must be for. */
static bool expect(SSL *ssl, const char *host)
{
	unsigned char ip[16];
	if (inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct redis_tls_end *redis_tls_begin(
	struct redis_tls *t, int fd, const char *host, struct err *err)
{
	struct redis_tls_end *e = mem_zalloc(sizeof(*e));
	e->fd = fd;
	e->ssl = SSL_new(t->ctx);
	BIO *b = BIO_new(t->socket);
	if (!e->ssl || !b || !expect(e->ssl, host)) {
		failed(err, ERR_IO, "Redis: TLS cannot be set up");
		BIO_free(b);
		redis_tls_end(e);
		return NULL;
	}
	BIO_set_data(b, e);
	BIO_set_init(b, 1);
	SSL_set_bio(e->ssl, b, b);
	SSL_set_connect_state(e->ssl);
	return e;
}

void redis_tls_end(struct redis_tls_end *e)
{
	if (!e)
		return;
	SSL_free(e->ssl);
	free(e);
}

/* What a call of OpenSSL that gave ${rc} <= 0 asks for. */
static int outcome(struct redis_tls_end *e, int rc, const char *what, struct err *err)
{
	int saved = errno;
	int why = SSL_get_error(e->ssl, rc);
	if (why == SSL_ERROR_WANT_READ)
		return REDIS_TLS_READ;
	if (why == SSL_ERROR_WANT_WRITE)
		return REDIS_TLS_WRITE;
	long verified = SSL_get_verify_result(e->ssl);
	if (verified != X509_V_OK) {
		ERR_clear_error();
		err_set(err, ERR_UNAVAILABLE, __func__, "its certificate is not accepted: %s",
			X509_verify_cert_error_string(verified));
	} else if (why == SSL_ERROR_SYSCALL && saved != 0) {
		ERR_clear_error();
		errno = saved;
		err_errno(err, __func__, "%s", what);
		if (err)
			err->code = ERR_UNAVAILABLE;
	} else {
		failed(err, ERR_UNAVAILABLE, what);
	}
	return REDIS_TLS_FAILED;
}

int redis_tls_handshake(struct redis_tls_end *e, struct err *err)
{
	ERR_clear_error();
	errno = 0;
	int rc = SSL_do_handshake(e->ssl);
	return rc == 1 ? 1 : outcome(e, rc, "the TLS handshake failed", err);
}

ssize_t redis_tls_read(struct redis_tls_end *e, void *data, size_t len, struct err *err)
{
	ERR_clear_error();
	errno = 0;
	int rc = SSL_read(e->ssl, data, len < INT_MAX ? (int)len : INT_MAX);
	return rc > 0 ? rc : outcome(e, rc, "the connection broke", err);
}

ssize_t redis_tls_write(struct redis_tls_end *e, const void *data, size_t len, struct err *err)
{
	ERR_clear_error();
	errno = 0;
	int rc = SSL_write(e->ssl, data, len < INT_MAX ? (int)len : INT_MAX);
	return rc > 0 ? rc : outcome(e, rc, "the connection broke", err);
}
