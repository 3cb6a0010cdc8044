// See CRE2.h. Nothing here throws: RE2 reports failure by value, and std::bad_alloc ends the process.
#include "CRE2.h"

#include <re2/re2.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <string>

namespace {

re2::RE2::Options options_for(int64_t max_memory) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(max_memory);
    return options;
}

}  // namespace

struct fl_re2 {
    re2::StringPiece pattern;
    int64_t max_memory;
    mutable std::once_flag once;
    mutable std::unique_ptr<re2::RE2> compiled;

    fl_re2(re2::StringPiece text, int64_t memory) : pattern(text), max_memory(memory) {}

    const re2::RE2 &get() const {
        std::call_once(once, [this] { compiled.reset(new re2::RE2(pattern, options_for(max_memory))); });
        return *compiled;
    }
};

fl_re2 *fl_re2_new(const char *pattern, size_t length, int64_t max_memory, char *error,
                   size_t error_capacity) {
    fl_re2 *made = new fl_re2(re2::StringPiece(pattern, length), max_memory);
    const re2::RE2 &re = made->get();
    if (re.ok()) return made;
    if (error_capacity > 0) {
        const std::string &text = re.error();
        const size_t count = text.size() < error_capacity - 1 ? text.size() : error_capacity - 1;
        std::memcpy(error, text.data(), count);
        error[count] = 0;
    }
    delete made;
    return nullptr;
}

fl_re2 *fl_re2_new_lazy(const char *pattern, size_t length, int64_t max_memory) {
    return new fl_re2(re2::StringPiece(pattern, length), max_memory);
}

void fl_re2_free(fl_re2 *re) { delete re; }

int fl_re2_full_match(const fl_re2 *re, const char *value, size_t length) {
    return re2::RE2::FullMatch(re2::StringPiece(value, length), re->get()) ? 1 : 0;
}

int fl_re2_partial_match(const fl_re2 *re, const char *value, size_t length) {
    return re2::RE2::PartialMatch(re2::StringPiece(value, length), re->get()) ? 1 : 0;
}

int64_t fl_re2_replace_all(const fl_re2 *re, const char *value, size_t length, const char *rewrite,
                           size_t rewrite_length, char *out, size_t capacity) {
    std::string text(value, length);
    std::string error;
    const re2::StringPiece replacement(rewrite, rewrite_length);
    if (!re->get().CheckRewriteString(replacement, &error)) return -1;
    re2::RE2::GlobalReplace(&text, re->get(), replacement);
    if (text.size() <= capacity) std::memcpy(out, text.data(), text.size());
    return static_cast<int64_t>(text.size());
}

int fl_re2_program_size(const fl_re2 *re) { return re->get().ProgramSize(); }
