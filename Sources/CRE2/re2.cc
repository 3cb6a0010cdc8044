// See CRE2.h. Nothing here throws: RE2 reports failure by value, and std::bad_alloc ends the process.
#include "CRE2.h"

#include <re2/re2.h>

#include <cstring>
#include <string>

struct fl_re2 {
    re2::RE2 re;
    fl_re2(re2::StringPiece pattern, const re2::RE2::Options &options) : re(pattern, options) {}
};

fl_re2 *fl_re2_new(const char *pattern, size_t length, int64_t max_memory, char *error,
                   size_t error_capacity) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(max_memory);
    fl_re2 *compiled = new fl_re2(re2::StringPiece(pattern, length), options);
    if (compiled->re.ok()) return compiled;
    if (error_capacity > 0) {
        const std::string &text = compiled->re.error();
        const size_t count = text.size() < error_capacity - 1 ? text.size() : error_capacity - 1;
        std::memcpy(error, text.data(), count);
        error[count] = 0;
    }
    delete compiled;
    return nullptr;
}

void fl_re2_free(fl_re2 *re) { delete re; }

int fl_re2_full_match(const fl_re2 *re, const char *value, size_t length) {
    return re2::RE2::FullMatch(re2::StringPiece(value, length), re->re) ? 1 : 0;
}

int fl_re2_partial_match(const fl_re2 *re, const char *value, size_t length) {
    return re2::RE2::PartialMatch(re2::StringPiece(value, length), re->re) ? 1 : 0;
}

int64_t fl_re2_replace_all(const fl_re2 *re, const char *value, size_t length, const char *rewrite,
                           size_t rewrite_length, char *out, size_t capacity) {
    std::string text(value, length);
    std::string error;
    const re2::StringPiece replacement(rewrite, rewrite_length);
    if (!re->re.CheckRewriteString(replacement, &error)) return -1;
    re2::RE2::GlobalReplace(&text, re->re, replacement);
    if (text.size() <= capacity) std::memcpy(out, text.data(), text.size());
    return static_cast<int64_t>(text.size());
}

int fl_re2_program_size(const fl_re2 *re) { return re->re.ProgramSize(); }
