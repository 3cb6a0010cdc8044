// zlib as a Swift module; deflateInit2 is a macro, so it gets a function here.
#ifndef FAIRLEAD_CZLIB_H
#define FAIRLEAD_CZLIB_H
#include <zlib.h>

/// `window_bits`: 8 to 15 for the zlib format, 16 more for gzip.
static inline int fl_deflate_init(z_stream *stream, int level, int window_bits, int memory_level) {
    return deflateInit2(stream, level, Z_DEFLATED, window_bits, memory_level, Z_DEFAULT_STRATEGY);
}
#endif
