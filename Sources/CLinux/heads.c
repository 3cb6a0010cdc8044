// Reads the lines of HTTP/1 heads sixteen bytes at a time and more. Nothing here reads outside the bytes it
// is given: the last, shorter piece of a head is looked at through a load that ends where the head ends and
// begins before it, and what is shorter than a load is read byte by byte.
#include "CLinux.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define ALWAYS __attribute__((always_inline))
#define RARE __attribute__((noinline, cold))

enum { WIDTH = 16, TAB = 0x09, LF = 0x0a, CR = 0x0d, DEL = 0x7f };

#if defined(__SSE2__)
static inline __m128i load(const uint8_t *from) { return _mm_loadu_si128((const __m128i *)from); }
static inline __m128i all(char byte) { return _mm_set1_epi8(byte); }
static inline unsigned bits(__m128i mask) { return (unsigned)_mm_movemask_epi8(mask); }
static inline __m128i at_most(__m128i bytes, char byte) {
    return _mm_cmpeq_epi8(_mm_min_epu8(bytes, all(byte)), bytes);
}
/// Control characters, tab and DEL among them.
static inline unsigned controls(__m128i bytes) {
    return bits(_mm_or_si128(at_most(bytes, 0x1f), _mm_cmpeq_epi8(bytes, all(DEL))));
}
/// What ends a request target: a blank, a control character or DEL.
static inline unsigned blanks(__m128i bytes) {
    return bits(_mm_or_si128(at_most(bytes, 0x20), _mm_cmpeq_epi8(bytes, all(DEL))));
}
static inline unsigned places_of(__m128i bytes, char byte) {
    return bits(_mm_cmpeq_epi8(bytes, all(byte)));
}
/// Letters, digits and hyphens of names in lower case: nearly all that names are made of.
static inline unsigned simple(__m128i low) {
    const __m128i letters = at_most(_mm_sub_epi8(low, all('a')), 25);
    const __m128i digits = at_most(_mm_sub_epi8(low, all('0')), 9);
    return bits(_mm_or_si128(_mm_or_si128(letters, digits), _mm_cmpeq_epi8(low, all('-'))));
}

/// The control characters among thirty-two bytes: one instruction each where the processor is wide enough.
static inline ALWAYS uint32_t controls_of_32(const uint8_t *from) {
    typedef uint8_t wide __attribute__((vector_size(32)));
    typedef _Bool answers __attribute__((ext_vector_type(32)));
    wide bytes;
    memcpy(&bytes, from, sizeof bytes);
    const answers found = __builtin_convertvector((bytes < 0x20) | (bytes == DEL), answers);
    uint32_t mask;
    memcpy(&mask, &found, sizeof mask);
    return mask;
}

/// Sixteen bytes from the n-th on are 0xff for the first 16 - n bytes and 0 for the rest.
static const uint8_t ours[2 * WIDTH] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};
#endif

// MARK: names

void fl_names_clear(fl_names *names) {
    memset(names, 0, sizeof *names);
    memset(names->short_names, 0xff, sizeof names->short_names);
}

void fl_names_add(fl_names *names, uint8_t id, const uint8_t *name, size_t count) {
    size_t slot = fl_name_slot(name, count);
    while (names->slots[slot] != 0) slot = (slot + 1) % FL_NAME_SLOTS;
    names->slots[slot] = id;
    names->names[id] = (fl_name){.bytes = name, .count = count};
}

void fl_names_add_short(fl_names *names, uint8_t id, uint8_t length, uint64_t first, uint64_t second) {
    const size_t slot = fl_short_slot(names->multiplier, first, second);
    memcpy(names->short_names[slot], &first, 8);
    memcpy(names->short_names[slot] + 8, &second, 8);
    names->short_lengths[slot] = length;
    names->short_ids[slot] = id;
}

// MARK: field lines

/// One line of any kind, or the blank line; `id` is the line's.
static RARE int take_any_line(fl_head_reader *reader, unsigned *id) {
    uint8_t *const at = reader->at, *const end = reader->end;
    if (at == end) return FL_HEAD_MORE;
    if (*at == CR) {
        if (at + 1 == end) return FL_HEAD_MORE;
        if (at[1] != LF) return FL_HEAD_BAD_LINE;
        reader->at = at + 2;
        return FL_HEAD_END;
    }
    uint8_t *colon = fl_lower_token(at, end);
    if (colon == end) return FL_HEAD_MORE;
    if (*colon != ':' || colon == at) return *colon == LF ? FL_HEAD_BARE_LINE_FEED : FL_HEAD_BAD_LINE;
    uint8_t *stop = (uint8_t *)fl_scan_field_value(colon + 1, end);
    if (stop == end) return FL_HEAD_MORE;
    if (*stop != CR) return *stop == LF ? FL_HEAD_BARE_LINE_FEED : FL_HEAD_BAD_LINE;
    if (stop + 1 == end) return FL_HEAD_MORE;
    if (stop[1] != LF) return FL_HEAD_BAD_LINE;
    if (reader->count == reader->most) return FL_HEAD_TOO_MANY;
    if (colon - at > UINT16_MAX) return FL_HEAD_NAME_TOO_LONG;
    uint8_t *value = colon + 1, *value_stop = stop;
    // The carriage return at `stop` ends this without a bound.
    while (*value == ' ' || *value == TAB) value += 1;
    while (value_stop > value && (value_stop[-1] == ' ' || value_stop[-1] == TAB)) value_stop -= 1;
    *id = fl_name_id(reader->names, at, (size_t)(colon - at));
    reader->fields[reader->count] = (fl_field){
        .line = at, .line_length = (uint32_t)(stop + 2 - at), .value_offset = (uint32_t)(value - at),
        .value_length = (uint32_t)(value_stop - value), .name_length = (uint16_t)(colon - at),
        .id = (uint8_t)*id};
    fl_note_line(&reader->marks, at, (size_t)(colon - at), (uint8_t)*id, reader->count);
    reader->count += 1;
    reader->at = stop + 2;
    return FL_HEAD_LINE;
}

#if defined(__SSE2__)
/// Reads lines as nearly everybody sends them: a name of at most 15 letters, digits and hyphens, a colon and
/// a blank, a value that ends with neither blank nor tab. Stops before anything else, of which nothing but
/// the case of the name has changed, and behind a line that is to be told. True: the latter.
static inline ALWAYS int take_usual_lines(fl_head_reader *reader, int is_wide) {
    const fl_names *const names = reader->names;
    uint8_t *const end = reader->end;
    uint8_t *at = reader->at;
    uint32_t count = reader->count;
    while (end - at >= WIDTH && count < reader->most) {
        // Sixteen bytes can be loaded from there and before, none from behind it.
        uint8_t *const last = end - WIDTH;
        const __m128i bytes = load(at);
        const unsigned colons = places_of(bytes, ':');
        if (colons == 0) break;
        const unsigned length = (unsigned)__builtin_ctz(colons);
        const __m128i mine = load(ours + WIDTH - length);
        const __m128i name = _mm_and_si128(bytes, mine);
        // 0x20 is added where 0x40 is set: exact for letters, and no control character becomes a digit or a
        // hyphen.
        const __m128i low = _mm_or_si128(name, _mm_srli_epi16(_mm_and_si128(name, all(0x40)), 1));
        const uint64_t first = (uint64_t)_mm_cvtsi128_si64(low);
        const uint64_t second = (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(low, low));
        const size_t slot = fl_short_slot(names->multiplier, first, second);
        unsigned id = 0;
        const unsigned same = bits(_mm_cmpeq_epi8(load(names->short_names[slot]), low));
        if (same == 0xffff && names->short_lengths[slot] == length) {
            id = names->short_ids[slot];
        } else {
            if (length == 0 || (~simple(low) & ((1u << length) - 1)) != 0) break;
        }
        if (bits(_mm_cmpeq_epi8(low, name)) != 0xffff) {
            _mm_storeu_si128((__m128i *)at, _mm_or_si128(_mm_andnot_si128(mine, bytes), low));
        }
        uint8_t *const colon = at + length;
        uint8_t *stop = colon + 1;
        unsigned found = 0;
        if (is_wide) {
            for (; end - stop >= 2 * WIDTH; stop += 2 * WIDTH) {
                found = controls_of_32(stop);
                if (found != 0) break;
            }
        }
        while (found == 0 && stop <= last) {
            found = controls(load(stop));
            if (found != 0) break;
            stop += WIDTH;
        }
        if (found == 0) {
            // The last piece ends where the head ends; behind that, nothing has come.
            if (stop >= end) break;
            found = controls(load(last)) >> (stop - last);
            if (found == 0) break;
        }
        stop += __builtin_ctz(found);
        if (stop + 1 >= end || fl_load16(stop) != (LF << 8 | CR)) break;
        // A value begins here, so that `stop` is behind it.
        if (colon[1] != ' ' || colon[2] <= ' ' || stop[-1] <= ' ') break;
        reader->fields[count] = (fl_field){
            .line = at, .line_length = (uint32_t)(stop + 2 - at), .value_offset = length + 2,
            .value_length = (uint32_t)(stop - colon - 2), .name_length = (uint16_t)length, .id = (uint8_t)id};
        fl_note_line(&reader->marks, at, length, (uint8_t)id, count);
        count += 1;
        at = stop + 2;
        if (id - reader->first_told < reader->told) {
            reader->at = at;
            reader->count = count;
            return 1;
        }
    }
    reader->at = at;
    reader->count = count;
    return 0;
}
#endif

static inline ALWAYS fl_head_state read_lines(fl_head_reader *reader, int is_wide) {
    while (1) {
#if defined(__SSE2__)
        if (take_usual_lines(reader, is_wide)) return FL_HEAD_LINE;
#else
        (void)is_wide;
#endif
        unsigned id = 0;
        const int state = take_any_line(reader, &id);
        if (state != FL_HEAD_LINE || id - reader->first_told < reader->told) return state;
    }
}

#if defined(__x86_64__)
// The same code for processors of the last ten years, which have shorter ways to do it.
__attribute__((target("avx2,bmi,bmi2"))) static fl_head_state read_lines_wide(fl_head_reader *reader) {
    return read_lines(reader, 1);
}

static int has_avx2;
__attribute__((constructor)) static void look_at_processor(void) {
    __builtin_cpu_init();
    has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2");
}
#endif

static __attribute__((noinline)) fl_head_state read_lines_plain(fl_head_reader *reader) {
    return read_lines(reader, 0);
}

fl_head_state fl_read_lines(fl_head_reader *reader) {
#if defined(__x86_64__)
    if (has_avx2) return read_lines_wide(reader);
#endif
    return read_lines_plain(reader);
}

// MARK: request targets

#if defined(__SSE2__)
/// Notes what normalisation and splitting look for among sixteen bytes, of which those of `mine` count.
static inline void note_target(fl_target *target, __m128i bytes, unsigned mine, uint32_t offset) {
    const unsigned question = places_of(bytes, '?') & mine;
    const unsigned hash = places_of(bytes, '#') & mine;
    const unsigned slash = places_of(bytes, '/') & mine;
    const unsigned behind = slash << 1 | (target->ends_with_slash != 0);
    target->ends_with_slash = slash >> 15;
    if (target->question == UINT32_MAX && target->hash == UINT32_MAX) {
        const unsigned odd = (places_of(bytes, '%') | places_of(bytes, '\\')) & mine;
        const unsigned pairs = behind & (slash | places_of(bytes, '.')) & mine;
        // What comes behind the first mark is no part of the path.
        const unsigned marks = question | hash;
        const unsigned path = marks == 0 ? 0xffff : (marks & (0u - marks)) - 1;
        if ((odd | pairs) & path) target->is_plain = 0;
    }
    if (target->question == UINT32_MAX && question != 0) {
        target->question = offset + (uint32_t)__builtin_ctz(question);
    }
    if (target->hash == UINT32_MAX && hash != 0) target->hash = offset + (uint32_t)__builtin_ctz(hash);
}
#endif

uint32_t fl_read_target(const uint8_t *from, const uint8_t *end, fl_target *target) {
    *target = (fl_target){.question = UINT32_MAX, .hash = UINT32_MAX, .is_plain = 1};
    uint32_t at = 0;
    const uint32_t count = (uint32_t)(end - from);
#if defined(__SSE2__)
    while (at < count) {
        unsigned mine = 0xffff;
        __m128i bytes;
        unsigned ends;
        if (count - at >= WIDTH) {
            bytes = load(from + at);
            ends = blanks(bytes);
        } else {
            // The last bytes, moved to where they would be.
            uint8_t last[WIDTH] = {0};
            const uint32_t rest = count - at;
            for (uint32_t index = 0; index < rest; index++) last[index] = from[at + index];
            bytes = load(last);
            mine = (1u << rest) - 1;
            ends = blanks(bytes) & mine;
        }
        if (ends != 0) mine &= (ends & (0u - ends)) - 1;
        note_target(target, bytes, mine, at);
        if (ends != 0) return at + (uint32_t)__builtin_ctz(ends);
        at += count - at >= WIDTH ? WIDTH : count - at;
    }
#endif
    for (; at < count; at++) {
        const uint8_t byte = from[at];
        if (byte <= 0x20 || byte == DEL) break;
        const int in_path = target->question == UINT32_MAX && target->hash == UINT32_MAX;
        if (byte == '?' && target->question == UINT32_MAX) target->question = at;
        if (byte == '#' && target->hash == UINT32_MAX) target->hash = at;
        if (in_path
            && (byte == '%' || byte == '\\'
                || (target->ends_with_slash && (byte == '/' || byte == '.')))) {
            target->is_plain = 0;
        }
        target->ends_with_slash = byte == '/';
    }
    return at;
}

int fl_is_plain_host(const uint8_t *host, size_t count) {
    if (count == 0 || count > 255) return 0;
#if defined(__SSE2__)
    if (count >= WIDTH) {
        for (size_t at = 0;; at += WIDTH) {
            // The last sixteen overlap with those before.
            const size_t from = at + WIDTH <= count ? at : count - WIDTH;
            const __m128i bytes = load(host + from);
            if ((simple(bytes) | places_of(bytes, '.')) != 0xffff) return 0;
            if (from + WIDTH == count) return 1;
        }
    }
#endif
    for (size_t at = 0; at < count; at++) {
        const uint8_t byte = host[at];
        const int is_simple = (uint8_t)(byte - 'a') < 26 || (uint8_t)(byte - '0') < 10 || byte == '-';
        if (!is_simple && byte != '.') return 0;
    }
    return 1;
}

// MARK: writing and the rest

uint8_t *fl_copy_lines(const fl_field *fields, uint32_t count, uint8_t *to) {
    const uint8_t *start = 0, *stop = 0;
    for (const fl_field *field = fields; field < fields + count; field++) {
        if (field->dropped) continue;
        if (field->line != stop) {
            fl_copy_short(to, start, (size_t)(stop - start));
            to += stop - start;
            start = field->line;
        }
        stop = field->line + field->line_length;
    }
    fl_copy_short(to, start, (size_t)(stop - start));
    return to + (stop - start);
}

int fl_holds_either(const uint8_t *bytes, size_t count, uint8_t one, uint8_t other) {
#if defined(__SSE2__)
    if (count >= WIDTH) {
        unsigned found = 0;
        for (size_t at = 0; at + WIDTH <= count; at += WIDTH) {
            const __m128i piece = load(bytes + at);
            found |= places_of(piece, (char)one) | places_of(piece, (char)other);
        }
        const __m128i piece = load(bytes + count - WIDTH);
        return (found | places_of(piece, (char)one) | places_of(piece, (char)other)) != 0;
    }
#endif
    for (size_t at = 0; at < count; at++) {
        if (bytes[at] == one || bytes[at] == other) return 1;
    }
    return 0;
}

#if defined(__SSE2__)
/// Numbers below sixteen as hexadecimal digits.
static inline __m128i digits(__m128i numbers) {
    const __m128i letters = _mm_and_si128(_mm_cmpgt_epi8(numbers, all(9)), all('a' - '0' - 10));
    return _mm_add_epi8(_mm_add_epi8(numbers, all('0')), letters);
}
#endif

void fl_write_uuid(uint64_t high, uint64_t low, uint8_t *out) {
    uint8_t text[32];
#if defined(__SSE2__)
    const __m128i bytes = _mm_set_epi64x((int64_t)__builtin_bswap64(low), (int64_t)__builtin_bswap64(high));
    const __m128i upper = _mm_and_si128(_mm_srli_epi16(bytes, 4), all(15));
    const __m128i lower = _mm_and_si128(bytes, all(15));
    _mm_storeu_si128((__m128i *)text, digits(_mm_unpacklo_epi8(upper, lower)));
    _mm_storeu_si128((__m128i *)(text + 16), digits(_mm_unpackhi_epi8(upper, lower)));
#else
    for (int at = 0; at < 16; at++) {
        memcpy(text + 2 * at, &fl_hex_pairs[(uint8_t)((at < 8 ? high : low) >> (56 - 8 * (at & 7)))], 2);
    }
#endif
    memcpy(out, text, 8);
    memcpy(out + 9, text + 8, 4);
    memcpy(out + 14, text + 12, 4);
    memcpy(out + 19, text + 16, 4);
    memcpy(out + 24, text + 20, 12);
    out[8] = out[13] = out[18] = out[23] = '-';
}
