// OpenSSL 3 as a Swift module. Function-like macros that Swift cannot import get a
// `static inline` twin here, prefixed fl_.
#ifndef FAIRLEAD_COPENSSL_H
#define FAIRLEAD_COPENSSL_H
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/opensslv.h>
#include <openssl/ssl.h>
#endif
