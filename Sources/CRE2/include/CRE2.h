// RE2 behind a C interface. RE2 because Istio's and Envoy's `regex` are RE2: linear time, and the same
// verdict on every value. Owner of every fl_re2 is the caller; a compiled pattern is immutable and may be
// used by all threads at once.
#ifndef FAIRLEAD_CRE2_H
#define FAIRLEAD_CRE2_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fl_re2 fl_re2;

/// Compiles a pattern of `length` bytes; at most `max_memory` bytes of program. NULL on failure, with what
/// RE2 said in `error` (NUL-terminated, cut to `error_capacity`).
fl_re2 *fl_re2_new(const char *pattern, size_t length, int64_t max_memory, char *error,
                   size_t error_capacity);
/// The same, but the pattern is compiled when it is first matched against, by whichever thread comes first:
/// for patterns that are known to compile and are rarely asked. `pattern` must outlive the result. A pattern
/// that does not compile matches nothing.
fl_re2 *fl_re2_new_lazy(const char *pattern, size_t length, int64_t max_memory);
void fl_re2_free(fl_re2 *re);
/// 1 if the whole value matches (anchored at both ends), else 0.
int fl_re2_full_match(const fl_re2 *re, const char *value, size_t length);
/// 1 if some part of the value matches, else 0.
int fl_re2_partial_match(const fl_re2 *re, const char *value, size_t length);
/// Replaces every non-overlapping match by `rewrite` (\0 to \9 are groups). Writes at most `capacity` bytes
/// to `out` and returns the length the result needs (larger than `capacity`: nothing usable was written),
/// or -1 if `rewrite` does not fit the pattern.
int64_t fl_re2_replace_all(const fl_re2 *re, const char *value, size_t length, const char *rewrite,
                           size_t rewrite_length, char *out, size_t capacity);
/// Size of the compiled program in instructions: RE2's own measure of cost.
int fl_re2_program_size(const fl_re2 *re);

#ifdef __cplusplus
}
#endif
#endif
