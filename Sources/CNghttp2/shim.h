// nghttp2 as a Swift module.
#ifndef FAIRLEAD_CNGHTTP2_H
#define FAIRLEAD_CNGHTTP2_H
#include <nghttp2/nghttp2.h>
#endif
