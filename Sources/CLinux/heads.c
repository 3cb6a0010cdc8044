// Reads the lines of HTTP/1 heads sixteen bytes at a time and more. Nothing here reads outside the bytes it
// is given: the last, shorter piece of a head is looked at through a load that ends where the head ends and
// begins before it, and what is shorter than a load is read byte by byte.
#include "CLinux.h"
#include <stddef.h>

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
static inline __m128i is_simple(__m128i low) {
    const __m128i letters = at_most(_mm_sub_epi8(low, all('a')), 25);
    const __m128i digits = at_most(_mm_sub_epi8(low, all('0')), 9);
    return _mm_or_si128(_mm_or_si128(letters, digits), _mm_cmpeq_epi8(low, all('-')));
}
static inline unsigned simple(__m128i low) { return bits(is_simple(low)); }
/// The same and dots.
static inline __m128i in_host(__m128i low) {
    return _mm_or_si128(is_simple(low), _mm_cmpeq_epi8(low, all('.')));
}

/// The control characters among thirty-two bytes, or what ends a query: one instruction a step where the
/// processor is wide enough.
static inline ALWAYS uint32_t stops_of_32(const uint8_t *from, int in_query) {
    typedef uint8_t wide __attribute__((vector_size(32)));
    typedef _Bool answers __attribute__((ext_vector_type(32)));
    wide bytes;
    memcpy(&bytes, from, sizeof bytes);
    const uint8_t last_blank = in_query ? ' ' : 0x1f, other = in_query ? '#' : DEL;
    const answers found =
        __builtin_convertvector((bytes <= last_blank) | (bytes == DEL) | (bytes == other), answers);
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
    names->short_tails[slot] = (uint32_t)id << 16 | length;
}

// MARK: field lines

/// A line was read; what `fl_read_lines` itself never says.
enum { ONE_LINE = -1 };

/// One line of any kind, or the blank line.
static RARE int take_any_line(fl_head_reader *reader) {
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
    const uint8_t id = fl_name_id(reader->names, at, (size_t)(colon - at));
    reader->fields[reader->count] = (fl_field){
        .line = at, .line_length = (uint32_t)(stop + 2 - at), .value_offset = (uint32_t)(value - at),
        .value_length = (uint32_t)(value_stop - value), .name_length = (uint16_t)(colon - at), .id = id};
    fl_note_line(reader->marks, at, (size_t)(colon - at), id, reader->count);
    reader->count += 1;
    reader->at = stop + 2;
    return ONE_LINE;
}

#if defined(__SSE2__)
_Static_assert(offsetof(fl_field, id) == offsetof(fl_field, name_length) + 2, "a tail is one number");
_Static_assert(offsetof(fl_field, dropped) == offsetof(fl_field, name_length) + 3, "a tail is one number");

/// The first control character from `from` on; 0: none has come. At least sixteen bytes lie before `end`.
static inline ALWAYS const uint8_t *find_control(const uint8_t *from, uintptr_t end, int is_wide) {
    // So many bytes can be loaded from there and before, none from behind it. The place is a number, too, or
    // it would be kept twice.
    const uintptr_t last = end - WIDTH, last_wide = end - 2 * WIDTH;
    uintptr_t at = (uintptr_t)from;
    unsigned found = 0;
    if (is_wide) {
        for (; at <= last_wide; at += 2 * WIDTH) {
            found = stops_of_32((const uint8_t *)at, 0);
            if (found != 0) return (const uint8_t *)at + __builtin_ctz(found);
        }
    }
    for (; at <= last; at += WIDTH) {
        found = controls(load((const uint8_t *)at));
        if (found != 0) return (const uint8_t *)at + __builtin_ctz(found);
    }
    // The last piece ends where the head ends; behind that, nothing has come.
    if (at >= end) return 0;
    found = controls(load((const uint8_t *)last)) >> (at - last);
    return found == 0 ? 0 : (const uint8_t *)at + __builtin_ctz(found);
}

/// Reads lines as nearly everybody sends them: a name of at most 15 letters, digits and hyphens, a colon and
/// a blank, a value that ends with neither blank nor tab. Stops before anything else, of which nothing but
/// the case of the name has changed.
static inline ALWAYS void take_usual_lines(fl_head_reader *reader, int is_wide) {
    const fl_names *const names = reader->names;
    fl_line_marks *const marks = reader->marks;
    uint8_t *const places = marks->places;
    // Without the last byte: whatever is found has one behind it. As numbers, because there need not be so
    // many bytes.
    const uintptr_t end = (uintptr_t)reader->end - 1, last = end - WIDTH;
    uint8_t *at = reader->at;
    uint32_t count = reader->count;
    fl_field *field = reader->fields + count;
    const fl_field *const full = reader->fields + reader->most;
    uint64_t present = marks->present[0], repeated = marks->repeated[0];
    while ((uintptr_t)at <= last && field < full) {
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
        uint32_t tail = names->short_tails[slot];
        const unsigned same = bits(_mm_cmpeq_epi8(load(names->short_names[slot]), low));
        // A name that ends with NULs looks like a shorter one.
        if (same != 0xffff || (uint16_t)tail != length) {
            if (length == 0 || (~simple(low) & ((1u << length) - 1)) != 0) break;
            tail = length;
        }
        // Without asking whether anything changes: that would cost as much.
        _mm_storeu_si128((__m128i *)at, _mm_or_si128(_mm_andnot_si128(mine, bytes), low));
        const uint8_t *const behind = at + length + 1;
        const uint8_t *const stop = find_control(behind, end, is_wide);
        if (stop == 0 || fl_load16(stop) != (LF << 8 | CR)) break;
        // A value begins here, so that `stop` is behind it.
        if (behind[0] != ' ' || behind[1] <= ' ' || stop[-1] <= ' ') break;
        const uint32_t ends = (uint32_t)(stop - at), begins = length + 2;
        field->line = at;
        field->line_length = ends + 2;
        field->value_offset = begins;
        field->value_length = ends - begins;
        memcpy(&field->name_length, &tail, sizeof tail);
        const unsigned id = tail >> 16;
        const uint64_t bit = 1ull << (id & 63);
        places[id] = (uint8_t)count;
        if (id < 64) {
            repeated |= present & bit;
            present |= bit;
            if (id == 0) {
                marks->other_lengths |= 1ull << length;
                marks->other_initials |= 1ull << (at[0] & 63);
            }
        } else {
            marks->repeated[1] |= marks->present[1] & bit;
            marks->present[1] |= bit;
        }
        field += 1;
        count += 1;
        at += ends + 2;
    }
    marks->present[0] = present;
    marks->repeated[0] = repeated;
    reader->at = at;
    reader->count = count;
}
#endif

static inline ALWAYS fl_head_state read_lines(fl_head_reader *reader, int is_wide) {
    while (1) {
#if defined(__SSE2__)
        take_usual_lines(reader, is_wide);
#else
        (void)is_wide;
#endif
        uint8_t *const at = reader->at;
        if (reader->end - at >= 2 && at[0] == CR && at[1] == LF) {
            reader->at = at + 2;
            return FL_HEAD_END;
        }
        const int state = take_any_line(reader);
        if (state != ONE_LINE) return state;
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
    const unsigned hash = places_of(bytes, '#') & mine;
    if (target->question == UINT32_MAX) {
        const unsigned question = places_of(bytes, '?') & mine;
        if (target->hash == UINT32_MAX) {
            const unsigned slash = places_of(bytes, '/') & mine;
            const unsigned behind = slash << 1 | (target->ends_with_slash != 0);
            target->ends_with_slash = slash >> 15;
            const unsigned odd = (places_of(bytes, '%') | places_of(bytes, '\\')) & mine;
            const unsigned pairs = behind & (slash | places_of(bytes, '.')) & mine;
            // What comes behind the first mark is no part of the path.
            const unsigned marks = question | hash;
            const unsigned path = marks == 0 ? 0xffff : (marks & (0u - marks)) - 1;
            if ((odd | pairs) & path) target->is_plain = 0;
        }
        if (question != 0) target->question = offset + (uint32_t)__builtin_ctz(question);
    }
    if (target->hash == UINT32_MAX && hash != 0) target->hash = offset + (uint32_t)__builtin_ctz(hash);
}
#endif

/// A target of any kind.
static RARE uint32_t read_any_target(const uint8_t *from, const uint8_t *end, fl_target *seen) {
    // The bytes could be those of `seen`, for all the compiler knows.
    fl_target place = {.question = UINT32_MAX, .hash = UINT32_MAX, .is_plain = 1};
    fl_target *const target = &place;
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
        if (ends != 0) {
            *seen = place;
            return at + (uint32_t)__builtin_ctz(ends);
        }
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
    *seen = place;
    return at;
}

static inline ALWAYS uint32_t
read_target(const uint8_t *from, const uint8_t *end, fl_target *seen, int is_wide) {
#if defined(__SSE2__)
    // Targets as nearly everybody sends them: a path, perhaps a query, no fragment, and then more of the head
    // than a load takes.
    const uint8_t *at = from;
    unsigned behind_slash = 0, odd = 0;
    uint32_t question = UINT32_MAX;
    while (end - at >= WIDTH) {
        const __m128i bytes = load(at);
        const unsigned stops = blanks(bytes) | places_of(bytes, '?') | places_of(bytes, '#');
        const unsigned slash = places_of(bytes, '/');
        const unsigned pairs = (slash << 1 | behind_slash) & (slash | places_of(bytes, '.'));
        const unsigned escapes = places_of(bytes, '%') | places_of(bytes, '\\');
        // What comes before the first stop; everything where there is none.
        odd |= (pairs | escapes) & ~stops & (stops - 1);
        if (stops != 0) {
            at += __builtin_ctz(stops);
            break;
        }
        behind_slash = slash >> (WIDTH - 1);
        at += WIDTH;
    }
    if (end - at >= WIDTH && *at == '?') {
        question = (uint32_t)(at - from);
        at += 1;
        uint32_t stops = 0;
        while (is_wide && stops == 0 && end - at >= 2 * WIDTH) {
            stops = stops_of_32(at, 1);
            at += stops != 0 ? __builtin_ctz(stops) : 2 * WIDTH;
        }
        while (stops == 0 && end - at >= WIDTH) {
            const __m128i bytes = load(at);
            stops = blanks(bytes) | places_of(bytes, '#');
            at += stops != 0 ? __builtin_ctz(stops) : WIDTH;
        }
    }
    if (end - at >= WIDTH && (*at <= 0x20 || *at == DEL)) {
        *seen = (fl_target){.question = question, .hash = UINT32_MAX, .is_plain = odd == 0};
        return (uint32_t)(at - from);
    }
#endif
    (void)is_wide;
    return read_any_target(from, end, seen);
}

#if defined(__x86_64__)
__attribute__((target("avx2,bmi,bmi2"))) static uint32_t
read_target_wide(const uint8_t *from, const uint8_t *end, fl_target *seen) {
    return read_target(from, end, seen, 1);
}
#endif

static __attribute__((noinline)) uint32_t
read_target_plain(const uint8_t *from, const uint8_t *end, fl_target *seen) {
    return read_target(from, end, seen, 0);
}

uint32_t fl_read_target(const uint8_t *from, const uint8_t *end, fl_target *seen) {
#if defined(__x86_64__)
    if (has_avx2) return read_target_wide(from, end, seen);
#endif
    return read_target_plain(from, end, seen);
}

int fl_is_plain_host(const uint8_t *host, size_t count) {
    if (count == 0 || count > 255) return 0;
#if defined(__SSE2__)
    if (count >= WIDTH) {
        // The last sixteen overlap with those before.
        __m128i fit = in_host(load(host + count - WIDTH));
        for (size_t at = 0; at + WIDTH < count; at += WIDTH) {
            fit = _mm_and_si128(fit, in_host(load(host + at)));
        }
        return bits(fit) == 0xffff;
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

/// Single lines have thirty to sixty bytes.
static inline void copy_line(uint8_t *to, const uint8_t *from, size_t count) {
#if defined(__SSE2__)
    if (count > 2 * WIDTH && count <= 4 * WIDTH) {
        const __m128i first = load(from), second = load(from + WIDTH);
        const __m128i third = load(from + count - 2 * WIDTH), last = load(from + count - WIDTH);
        _mm_storeu_si128((__m128i *)to, first);
        _mm_storeu_si128((__m128i *)(to + WIDTH), second);
        _mm_storeu_si128((__m128i *)(to + count - 2 * WIDTH), third);
        _mm_storeu_si128((__m128i *)(to + count - WIDTH), last);
        return;
    }
#endif
    fl_copy_short(to, from, count);
}

uint8_t *fl_copy_lines(const fl_field *fields, uint32_t count, uint8_t *to) {
    const fl_field *field = fields;
    const fl_field *const end = fields + count;
    while (1) {
        while (field < end && field->dropped) field++;
        if (field == end) return to;
        // Neighbours of one piece of memory.
        const uint8_t *const start = field->line;
        const uint8_t *stop = start;
        do {
            stop += field->line_length;
            field++;
        } while (field < end && field->line == stop && !field->dropped);
        copy_line(to, start, (size_t)(stop - start));
        to += stop - start;
    }
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
