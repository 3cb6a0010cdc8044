// zlib as a Swift module; deflateInit2 is a macro, so it gets a function here.
#ifndef FAIRLEAD_CZLIB_H
#define FAIRLEAD_CZLIB_H
#include <zlib.h>

/// deflateInit2 with a gzip wrapper (window bits 15 + 16).
static inline int fl_deflate_init_gzip(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}
#endif
