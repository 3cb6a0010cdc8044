// Lua's patterns (reference manual 5.4.1) with a bound: a pattern with several repetitions takes time that
// grows with a power of the subject's length, the subject is often a peer's, and no hook runs meanwhile.
#include <ctype.h>
#include <string.h>

#include "internal.h"

/// glibc shows it under _GNU_SOURCE only.
extern void *memmem(const void *, size_t, const void *, size_t);

#define CAPTURES_MAX 32
#define DEPTH_MAX 200
/// Lengths of captures that are not plain text.
#define OPEN_CAPTURE (-1)
#define POSITION_CAPTURE (-2)

typedef struct matcher {
    lua_State *L;
    const char *subject;
    const char *subject_end;
    const char *pattern_end;
    uint64_t *left;
    int depth;
    int captures;
    struct {
        const char *start;
        ptrdiff_t length;
    } capture[CAPTURES_MAX];
} matcher;

static const char *match_here(matcher *m, const char *s, const char *p);

static void count_step(matcher *m) {
    if (*m->left == 0) luaL_error(m->L, "pattern match takes too many steps");
    --*m->left;
}

/// Behind the single-character item that begins at `p`.
static const char *item_end(matcher *m, const char *p) {
    char first = *p++;
    if (first == '%') {
        if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[') return p;
    if (p < m->pattern_end && *p == '^') p++;
    do {
        if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
        char c = *p++;
        if (c == '%' && p < m->pattern_end) p++;
    } while (p == m->pattern_end || *p != ']');
    return p + 1;
}

static bool in_class(int c, int class_letter) {
    bool holds;
    switch (tolower(class_letter)) {
    case 'a': holds = isalpha(c) != 0; break;
    case 'c': holds = iscntrl(c) != 0; break;
    case 'd': holds = isdigit(c) != 0; break;
    case 'l': holds = islower(c) != 0; break;
    case 'p': holds = ispunct(c) != 0; break;
    case 's': holds = isspace(c) != 0; break;
    case 'u': holds = isupper(c) != 0; break;
    case 'w': holds = isalnum(c) != 0; break;
    case 'x': holds = isxdigit(c) != 0; break;
    case 'z': holds = c == 0; break;
    default: return class_letter == c;
    }
    return isupper(class_letter) ? !holds : holds;
}

/// `[set]` from its bracket to `end`, which is behind the closing one.
static bool in_set(int c, const char *p, const char *end) {
    const char *last = end - 1;
    bool wanted = true;
    p++;
    if (*p == '^') {
        wanted = false;
        p++;
    }
    while (p < last) {
        if (*p == '%') {
            if (in_class(c, (unsigned char)p[1])) return wanted;
            p += 2;
        } else if (p + 2 < last && p[1] == '-') {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2]) return wanted;
            p += 3;
        } else {
            if ((unsigned char)*p == c) return wanted;
            p++;
        }
    }
    return !wanted;
}

static bool item_matches(matcher *m, const char *s, const char *p, const char *end) {
    if (s >= m->subject_end) return false;
    count_step(m);
    int c = (unsigned char)*s;
    switch (*p) {
    case '.': return true;
    case '%': return in_class(c, (unsigned char)p[1]);
    case '[': return in_set(c, p, end);
    default: return (unsigned char)*p == c;
    }
}

static const char *match_balanced(matcher *m, const char *s, const char *p) {
    if (m->pattern_end - p < 2) luaL_error(m->L, "unbalanced pattern");
    if (s >= m->subject_end || *s != p[0]) return NULL;
    size_t depth = 1;
    while (++s < m->subject_end) {
        count_step(m);
        if (*s == p[1]) {
            if (--depth == 0) return s + 1;
        } else if (*s == p[0]) {
            depth++;
        }
    }
    return NULL;
}

static const char *match_longest(matcher *m, const char *s, const char *p, const char *end) {
    ptrdiff_t count = 0;
    while (item_matches(m, s + count, p, end)) count++;
    for (; count >= 0; count--) {
        const char *found = match_here(m, s + count, end + 1);
        if (found != NULL) return found;
    }
    return NULL;
}

static const char *match_shortest(matcher *m, const char *s, const char *p, const char *end) {
    for (;;) {
        const char *found = match_here(m, s, end + 1);
        if (found != NULL) return found;
        if (!item_matches(m, s, p, end)) return NULL;
        s++;
    }
}

static const char *open_capture(matcher *m, const char *s, const char *p, ptrdiff_t kind) {
    if (m->captures == CAPTURES_MAX) luaL_error(m->L, "too many captures");
    m->capture[m->captures].start = s;
    m->capture[m->captures].length = kind;
    m->captures++;
    const char *found = match_here(m, s, p);
    if (found == NULL) m->captures--;
    return found;
}

static const char *close_capture(matcher *m, const char *s, const char *p) {
    int which = m->captures - 1;
    while (which >= 0 && m->capture[which].length != OPEN_CAPTURE) which--;
    if (which < 0) luaL_error(m->L, "invalid pattern capture");
    m->capture[which].length = s - m->capture[which].start;
    const char *found = match_here(m, s, p);
    if (found == NULL) m->capture[which].length = OPEN_CAPTURE;
    return found;
}

/// `%1` to `%9`: what was captured, once more.
static const char *match_again(matcher *m, const char *s, int digit) {
    int which = digit - '1';
    if (which < 0 || which >= m->captures || m->capture[which].length < 0)
        luaL_error(m->L, "invalid capture index");
    ptrdiff_t length = m->capture[which].length;
    if (m->subject_end - s < length || memcmp(m->capture[which].start, s, (size_t)length) != 0) return NULL;
    return s + length;
}

/// `%f[set]`: between a character outside the set and one inside it; the subject's ends count as `\0`.
static bool at_frontier(matcher *m, const char *s, const char *p, const char *end) {
    int before = s == m->subject ? 0 : (unsigned char)s[-1];
    int after = s == m->subject_end ? 0 : (unsigned char)*s;
    return !in_set(before, p, end) && in_set(after, p, end);
}

/// What begins at `p` with a percent sign and is more than one character. NULL: no match; `*next` NULL: it is
/// an ordinary item.
static const char *match_special(matcher *m, const char *s, const char *p, const char **next) {
    char letter = p + 1 < m->pattern_end ? p[1] : 0;
    if (letter == 'b') {
        *next = p + 4;
        return match_balanced(m, s, p + 2);
    }
    if (letter == 'f') {
        if (p + 2 >= m->pattern_end || p[2] != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
        *next = item_end(m, p + 2);
        return at_frontier(m, s, p + 2, *next) ? s : NULL;
    }
    if (letter >= '0' && letter <= '9') {
        *next = p + 2;
        return match_again(m, s, letter);
    }
    *next = NULL;
    return s;
}

static const char *match_items(matcher *m, const char *s, const char *p) {
    while (p < m->pattern_end) {
        count_step(m);
        if (*p == '(') {
            bool position = p + 1 < m->pattern_end && p[1] == ')';
            return position ? open_capture(m, s, p + 2, POSITION_CAPTURE)
                            : open_capture(m, s, p + 1, OPEN_CAPTURE);
        }
        if (*p == ')') return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end) return s == m->subject_end ? s : NULL;
        if (*p == '%') {
            const char *next;
            const char *found = match_special(m, s, p, &next);
            if (next != NULL) {
                if (found == NULL) return NULL;
                s = found;
                p = next;
                continue;
            }
        }
        const char *end = item_end(m, p);
        char repeat = end < m->pattern_end ? *end : 0;
        if (repeat == '*') return match_longest(m, s, p, end);
        if (repeat == '-') return match_shortest(m, s, p, end);
        if (repeat == '+') return item_matches(m, s, p, end) ? match_longest(m, s + 1, p, end) : NULL;
        bool one = item_matches(m, s, p, end);
        if (repeat == '?') {
            const char *found = one ? match_here(m, s + 1, end + 1) : NULL;
            if (found != NULL) return found;
            p = end + 1;
            continue;
        }
        if (!one) return NULL;
        s++;
        p = end;
    }
    return s;
}

static const char *match_here(matcher *m, const char *s, const char *p) {
    if (++m->depth > DEPTH_MAX) luaL_error(m->L, "pattern too complex");
    const char *found = match_items(m, s, p);
    m->depth--;
    return found;
}

static matcher new_matcher(lua_State *L, fl_lua_text subject, fl_lua_text pattern) {
    matcher m;
    m.L = L;
    m.subject = (const char *)subject.start;
    m.subject_end = m.subject + subject.count;
    m.pattern_end = (const char *)pattern.start + pattern.count;
    m.left = &fl_lua_of(L)->pattern_left;
    m.depth = 0;
    m.captures = 0;
    return m;
}

/// Pushes a capture; number 0 of a match without captures is the whole match.
static void push_capture(matcher *m, int which, const char *s, const char *end) {
    if (which >= m->captures) {
        if (which != 0) luaL_error(m->L, "invalid capture index");
        lua_pushlstring(m->L, s, (size_t)(end - s));
    } else if (m->capture[which].length == POSITION_CAPTURE) {
        lua_pushinteger(m->L, m->capture[which].start - m->subject + 1);
    } else if (m->capture[which].length == OPEN_CAPTURE) {
        luaL_error(m->L, "unfinished capture");
    } else {
        lua_pushlstring(m->L, m->capture[which].start, (size_t)m->capture[which].length);
    }
}

static int push_captures(matcher *m, const char *s, const char *end, bool whole) {
    int count = m->captures == 0 && whole ? 1 : m->captures;
    luaL_checkstack(m->L, count, "too many captures");
    for (int which = 0; which < count; which++) push_capture(m, which, s, end);
    return count;
}

static int find_or_match(lua_State *L, bool find) {
    fl_lua_text subject = fl_check_text(L, 1);
    fl_lua_text pattern = fl_check_text(L, 2);
    ptrdiff_t from = luaL_optinteger(L, 3, 1);
    if (from < 0) from += (ptrdiff_t)subject.count + 1;
    if (from < 1) from = 1;
    if (from > (ptrdiff_t)subject.count + 1) from = (ptrdiff_t)subject.count + 1;
    const char *s = (const char *)subject.start + from - 1;
    const char *p = (const char *)pattern.start;
    matcher m = new_matcher(L, subject, pattern);
    if (find && lua_toboolean(L, 4)) {
        const char *found = memmem(s, (size_t)(m.subject_end - s), p, pattern.count);
        if (found == NULL) return lua_pushnil(L), 1;
        lua_pushinteger(L, found - m.subject + 1);
        lua_pushinteger(L, found - m.subject + (ptrdiff_t)pattern.count);
        return 2;
    }
    bool anchored = pattern.count > 0 && *p == '^';
    if (anchored) p++;
    do {
        m.captures = 0;
        const char *end = match_here(&m, s, p);
        if (end == NULL) continue;
        if (!find) return push_captures(&m, s, end, true);
        lua_pushinteger(L, s - m.subject + 1);
        lua_pushinteger(L, end - m.subject);
        return 2 + push_captures(&m, NULL, NULL, false);
    } while (s++ < m.subject_end && !anchored);
    lua_pushnil(L);
    return 1;
}

static int string_find(lua_State *L) { return find_or_match(L, true); }
static int string_match(lua_State *L) { return find_or_match(L, false); }

static int next_match(lua_State *L) {
    fl_lua_text subject = fl_check_text(L, lua_upvalueindex(1));
    fl_lua_text pattern = fl_check_text(L, lua_upvalueindex(2));
    matcher m = new_matcher(L, subject, pattern);
    const char *s = m.subject + lua_tointeger(L, lua_upvalueindex(3));
    for (; s <= m.subject_end; s++) {
        m.captures = 0;
        const char *end = match_here(&m, s, (const char *)pattern.start);
        if (end == NULL) continue;
        // An empty match must not be found again.
        lua_pushinteger(L, end - m.subject + (end == s ? 1 : 0));
        lua_replace(L, lua_upvalueindex(3));
        return push_captures(&m, s, end, true);
    }
    return 0;
}

static int string_gmatch(lua_State *L) {
    fl_check_text(L, 1);
    fl_check_text(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_match, 3);
    return 1;
}

/// The text of argument 3 with `%0` to `%9` replaced.
static void add_template(matcher *m, luaL_Buffer *out, const char *s, const char *end) {
    size_t length;
    const char *text = lua_tolstring(m->L, 3, &length);
    for (size_t at = 0; at < length; at++) {
        if (text[at] != '%' || at + 1 == length) {
            luaL_addchar(out, text[at]);
        } else if (!isdigit((unsigned char)text[++at])) {
            luaL_addchar(out, text[at]);
        } else if (text[at] == '0') {
            luaL_addlstring(out, s, (size_t)(end - s));
        } else {
            push_capture(m, text[at] - '1', s, end);
            luaL_addvalue(out);
        }
    }
}

static void add_replacement(matcher *m, luaL_Buffer *out, const char *s, const char *end) {
    lua_State *L = m->L;
    int type = lua_type(L, 3);
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, end, true), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(m, 0, s, end);
        lua_gettable(L, 3);
    } else {
        add_template(m, out, s, end);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, s, (size_t)(end - s));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(out);
}

static int string_gsub(lua_State *L) {
    fl_lua_check_stack(L);
    fl_lua_text subject = fl_check_text(L, 1);
    fl_lua_text pattern = fl_check_text(L, 2);
    int type = lua_type(L, 3);
    luaL_argcheck(
        L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
        "string/function/table expected");
    ptrdiff_t most = luaL_optinteger(L, 4, (ptrdiff_t)subject.count + 1);
    const char *p = (const char *)pattern.start;
    bool anchored = pattern.count > 0 && *p == '^';
    if (anchored) p++;
    matcher m = new_matcher(L, subject, pattern);
    const char *s = m.subject;
    ptrdiff_t count = 0;
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    while (count < most) {
        m.captures = 0;
        const char *end = match_here(&m, s, p);
        if (end != NULL) {
            count++;
            add_replacement(&m, &out, s, end);
        }
        if (end != NULL && end > s) {
            s = end;
        } else if (s < m.subject_end) {
            luaL_addchar(&out, *s++);
        } else {
            break;
        }
        if (anchored) break;
    }
    luaL_addlstring(&out, s, (size_t)(m.subject_end - s));
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

void fl_lua_open_patterns(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub},
        {NULL, NULL},
    };
    lua_getglobal(L, "string");
    luaL_register(L, NULL, functions);
    lua_pop(L, 1);
}
