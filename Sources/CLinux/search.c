// Looks for our key in cookies and queries sixteen bytes at a time. As in heads.c no load leaves the bytes
// that are there: the last, shorter piece is seen through a load that ends where the bytes end.
#include "CLinux.h"

#define RARE __attribute__((noinline, cold))

enum { WIDTH = 16 };

#if defined(__SSE2__)
#include <emmintrin.h>

static inline __m128i load(const uint8_t *from) { return _mm_loadu_si128((const __m128i *)from); }
static inline __m128i all(uint8_t byte) { return _mm_set1_epi8((char)byte); }
static inline unsigned bits(__m128i mask) { return (unsigned)_mm_movemask_epi8(mask); }
#endif

static size_t find_slowly(const uint8_t *text, size_t count, const uint8_t *key, size_t key_count,
                          size_t from) {
    for (size_t at = from; at + key_count <= count; at++) {
        if (text[at] == key[0] && fl_equal(text + at, key, key_count)) return at;
    }
    return count;
}

size_t fl_find(const uint8_t *text, size_t count, const uint8_t *key, size_t key_count, size_t from) {
#if defined(__SSE2__)
    // The last place where it can begin.
    const size_t last = count - key_count;
    if (count < key_count + WIDTH - 1) return find_slowly(text, count, key, key_count, from);
    const __m128i first = all(key[0]), final = all(key[key_count - 1]);
    const uint8_t *const finals = text + key_count - 1;
    size_t at = from;
    while (at <= last) {
        // Sixteen places to begin; at the end the last sixteen, without those that were looked at.
        const size_t start = at + WIDTH - 1 <= last ? at : last - (WIDTH - 1);
        const __m128i begins = _mm_cmpeq_epi8(load(text + start), first);
        const __m128i ends = _mm_cmpeq_epi8(load(finals + start), final);
        const unsigned found = bits(_mm_and_si128(begins, ends)) >> (at - start);
        if (found == 0) {
            at = start + WIDTH;
            continue;
        }
        at += (size_t)__builtin_ctz(found);
        if (fl_equal(text + at, key, key_count)) return at;
        at += 1;
    }
    return count;
#else
    return find_slowly(text, count, key, key_count, from);
#endif
}

int fl_holds_either(const uint8_t *bytes, size_t count, uint8_t one, uint8_t other) {
#if defined(__SSE2__)
    if (count >= WIDTH) {
        const __m128i first = all(one), second = all(other);
        __m128i piece = load(bytes + count - WIDTH);
        __m128i found = _mm_or_si128(_mm_cmpeq_epi8(piece, first), _mm_cmpeq_epi8(piece, second));
        for (size_t at = 0; at + WIDTH < count; at += WIDTH) {
            piece = load(bytes + at);
            found = _mm_or_si128(found, _mm_cmpeq_epi8(piece, first));
            found = _mm_or_si128(found, _mm_cmpeq_epi8(piece, second));
        }
        return bits(found) != 0;
    }
#endif
    for (size_t at = 0; at < count; at++) {
        if (bytes[at] == one || bytes[at] == other) return 1;
    }
    return 0;
}

// MARK: cookies

/// The first place from `from` on of a byte, or `count`.
static inline size_t find_byte(const uint8_t *text, size_t from, size_t count, uint8_t byte) {
    size_t at = from;
#if defined(__SSE2__)
    while (count >= WIDTH && at < count) {
        const size_t start = at + WIDTH <= count ? at : count - WIDTH;
        const unsigned found = bits(_mm_cmpeq_epi8(load(text + start), all(byte))) >> (at - start);
        if (found != 0) return at + (size_t)__builtin_ctz(found);
        at = start + WIDTH;
    }
#endif
    while (at < count && text[at] != byte) at++;
    return at < count ? at : count;
}

fl_pair_search fl_find_pair(const uint8_t *text, size_t count, uint8_t separator, const uint8_t *key,
                            size_t key_count, fl_pair *found) {
    const size_t hit = fl_find(text, count, key, key_count, 0);
    if (hit == count) return FL_PAIR_NONE;
    const size_t begin = hit + key_count + 1;
    const size_t blanks = hit > 1 && text[hit - 1] == ' ' ? 1 : 0;
    const uint8_t before = hit > 0 ? text[hit - 1 - blanks] : separator;
    if (before != separator || begin >= count || text[begin - 1] != '=') return FL_PAIR_UNSURE;
    const size_t end = find_byte(text, begin, count, separator);
    // Blanks and quotes around a value are no part of it.
    if (end == begin || text[begin] <= '"' || text[end - 1] <= '"') return FL_PAIR_UNSURE;
    *found = (fl_pair){.value = text + begin, .count = end - begin};
    return FL_PAIR_FOUND;
}

// MARK: queries

// What ends a parameter or begins an escape is one range: `#`, `$`, `%` and `&`, of which `$` means nothing.
enum { FIRST_MARK = '#', MARKS = 4 };

#if defined(__SSE2__)
static inline unsigned marks_of(__m128i bytes) {
    const __m128i moved = _mm_sub_epi8(bytes, all(FIRST_MARK));
    return bits(_mm_cmpeq_epi8(_mm_min_epu8(moved, all(MARKS - 1)), moved));
}
#endif

static RARE unsigned see_slowly(const uint8_t *query, size_t at, size_t count) {
    unsigned seen = 0;
    for (size_t index = 0; index < WIDTH && at + index < count; index++) {
        if ((uint8_t)(query[at + index] - FIRST_MARK) < MARKS) seen |= 1u << index;
    }
    return seen;
}

/// Which of the next sixteen bytes, as far as there are so many, are marks.
static inline unsigned see(const uint8_t *query, size_t at, size_t count) {
#if defined(__SSE2__)
    if (count >= WIDTH) {
        const size_t start = at + WIDTH <= count ? at : count - WIDTH;
        return marks_of(load(query + start)) >> (at - start);
    }
#endif
    return see_slowly(query, at, count);
}

/// The marks of a query one after the other; every byte is looked at once.
typedef struct {
    const uint8_t *query;
    size_t count;
    /// Where the piece of which `seen` tells begins, and the one behind it.
    size_t piece, next;
    unsigned seen;
} mark_reader;

/// The place of the next mark, or `count`.
static inline size_t next_mark(mark_reader *reader) {
    while (reader->seen == 0) {
        if (reader->next >= reader->count) return reader->count;
        reader->piece = reader->next;
        reader->seen = see(reader->query, reader->piece, reader->count);
        reader->next = reader->piece + WIDTH;
    }
    const size_t place = reader->piece + (size_t)__builtin_ctz(reader->seen);
    reader->seen &= reader->seen - 1;
    return place;
}

/// In any query.
static __attribute__((noinline)) fl_parameter_search
find_parameter(const uint8_t *query, size_t count, const uint8_t *key, size_t key_count,
               fl_parameter *found) {
    mark_reader marks = {.query = query, .count = count};
    size_t begin = 0;
    while (1) {
        // A parameter begins here.
        const size_t end = begin + key_count;
        if (end <= count && query[begin] == key[0] && fl_equal(query + begin, key, key_count)) {
            const uint8_t behind = end < count ? query[end] : '&';
            if (behind == '&' || behind == '#') {
                *found = (fl_parameter){.value = query + end};
                return FL_PARAMETER_FOUND;
            }
            if (behind == '=') {
                int has_escape = 0;
                size_t stop;
                while ((stop = next_mark(&marks)) < count) {
                    // A key may have marks itself.
                    if (stop < end) continue;
                    if (query[stop] == '&' || query[stop] == '#') break;
                    if (query[stop] == '%') has_escape = 1;
                }
                *found = (fl_parameter){
                    .value = query + end + 1, .count = stop - end - 1, .has_escape = has_escape};
                return FL_PARAMETER_FOUND;
            }
        }
        size_t place;
        while ((place = next_mark(&marks)) < count && query[place] != '&') {
            if (query[place] == '#') return FL_PARAMETER_NONE;
            // In a value an escape says nothing of names.
            if (query[place] == '%' && memchr(query + begin, '=', place - begin) == 0) {
                return FL_PARAMETER_UNSURE;
            }
        }
        if (place == count) return FL_PARAMETER_NONE;
        begin = place + 1;
    }
}

fl_parameter_search fl_find_parameter(const uint8_t *query, size_t count, const uint8_t *key,
                                      size_t key_count, fl_parameter *found) {
#if defined(__SSE2__)
    // As most queries are: all marks fit into one number, and up to the value's end they are ampersands.
    if (count >= WIDTH && count <= 64) {
        uint64_t marks = (uint64_t)marks_of(load(query + count - WIDTH)) << (count - WIDTH);
        for (size_t at = 0; at + WIDTH < count; at += WIDTH) {
            marks |= (uint64_t)marks_of(load(query + at)) << at;
        }
        size_t begin = 0;
        while (1) {
            const size_t stop = marks == 0 ? count : (size_t)__builtin_ctzll(marks);
            if (stop < count && query[stop] != '&') break;
            const size_t end = begin + key_count;
            if (end < stop && query[end] == '=' && fl_equal(query + begin, key, key_count)) {
                *found = (fl_parameter){.value = query + end + 1, .count = stop - end - 1};
                return FL_PARAMETER_FOUND;
            }
            // The name alone.
            if (end == stop && fl_equal(query + begin, key, key_count)) break;
            if (stop == count) return FL_PARAMETER_NONE;
            marks &= marks - 1;
            begin = stop + 1;
        }
    }
#endif
    return find_parameter(query, count, key, key_count, found);
}
