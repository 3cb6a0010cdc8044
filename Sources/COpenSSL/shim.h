// OpenSSL 3 as a Swift module. Function-like macros that Swift cannot import get a
// `static inline` twin here, prefixed fl_.
#ifndef FAIRLEAD_COPENSSL_H
#define FAIRLEAD_COPENSSL_H
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ocsp.h>
#include <openssl/opensslv.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

// MARK: contexts

static inline int fl_ctx_set_min_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_min_proto_version(ctx, version);
}
static inline int fl_ctx_set_max_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_max_proto_version(ctx, version);
}
/// What no configuration changes: nothing is compressed (CRIME), nothing renegotiated, our order of cipher
/// suites counts but for clients that are better at ChaCha.
static inline void fl_ctx_set_options(SSL_CTX *ctx) {
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
}
static inline void fl_ctx_set_session_cache(SSL_CTX *ctx, long mode) {
    SSL_CTX_set_session_cache_mode(ctx, mode);
}
static inline int fl_ctx_set_groups(SSL_CTX *ctx, const char *list) {
    return (int)SSL_CTX_set1_groups_list(ctx, list);
}
/// Of the certificate that was set last; takes a reference of its own.
static inline int fl_ctx_add_chain(SSL_CTX *ctx, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(ctx, certificate);
}
static inline void fl_ctx_set_status(SSL_CTX *ctx, int (*callback)(SSL *, void *), void *argument) {
    SSL_CTX_set_tlsext_status_cb(ctx, callback);
    SSL_CTX_set_tlsext_status_arg(ctx, argument);
}
static inline int fl_ctx_index(CRYPTO_EX_free *free) {
    return CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, NULL, NULL, NULL, free);
}
static inline int fl_ssl_index(CRYPTO_EX_free *free) {
    return CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, free);
}

// MARK: connections

static inline int fl_ssl_set_min_version(SSL *ssl, int version) {
    return (int)SSL_set_min_proto_version(ssl, version);
}
static inline int fl_ssl_set_max_version(SSL *ssl, int version) {
    return (int)SSL_set_max_proto_version(ssl, version);
}
static inline int fl_ssl_set_server_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}
/// OpenSSL frees `response`, which OPENSSL_malloc gave.
static inline void fl_ssl_set_staple(SSL *ssl, unsigned char *response, long count) {
    SSL_set_tlsext_status_ocsp_resp(ssl, response, count);
}
static inline void *fl_malloc(size_t count) { return OPENSSL_malloc(count); }
static inline void fl_free(void *memory) { OPENSSL_free(memory); }
static inline char *fl_strdup(const char *text) { return OPENSSL_strdup(text); }

// MARK: BIO

static inline void fl_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline void fl_bio_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void fl_bio_retry_write(BIO *bio) { BIO_set_retry_write(bio); }
static inline long fl_bio_memory(BIO *bio, char **bytes) { return BIO_get_mem_data(bio, bytes); }

// MARK: stacks

static inline int fl_names_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
static inline GENERAL_NAME *fl_name_at(const GENERAL_NAMES *names, int index) {
    return sk_GENERAL_NAME_value(names, index);
}
static inline void fl_names_free(GENERAL_NAMES *names) { GENERAL_NAMES_free(names); }
/// The text of a DNS, URI or mail name; the bytes of an IP address; NULL for other types.
static inline const unsigned char *fl_name_bytes(const GENERAL_NAME *name, int *type, int *count) {
    *type = name->type;
    switch (name->type) {
    case GEN_DNS: case GEN_URI: case GEN_EMAIL:
        *count = ASN1_STRING_length(name->d.ia5);
        return ASN1_STRING_get0_data(name->d.ia5);
    case GEN_IPADD:
        *count = ASN1_STRING_length(name->d.iPAddress);
        return ASN1_STRING_get0_data(name->d.iPAddress);
    default:
        *count = 0;
        return NULL;
    }
}
static inline int fl_certificates_count(const STACK_OF(X509) *certificates) {
    return sk_X509_num(certificates);
}

/// As RFC 2253 writes it.
static inline int fl_name_print(BIO *out, const X509_NAME *name) {
    return X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253);
}
/// Which certificate an OCSP answer is about.
static inline void fl_ocsp_serial(OCSP_SINGLERESP *single, ASN1_INTEGER **serial) {
    OCSP_id_get0_info(NULL, NULL, NULL, serial, (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single));
}

// MARK: tickets

/// Sets the key of a ticket's HMAC-SHA-256.
static inline int fl_mac_sha256(EVP_MAC_CTX *mac, unsigned char *key, size_t count) {
    OSSL_PARAM parameters[3];
    parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, count);
    parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    parameters[2] = OSSL_PARAM_construct_end();
    return EVP_MAC_CTX_set_params(mac, parameters);
}
#endif
