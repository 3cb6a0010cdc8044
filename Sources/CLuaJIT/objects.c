// The objects that a script is given (istio-semantics.md 20): the stream handle, header objects, bodies,
// metadata, stream information. Each is a userdata that knows its run and is dead after it.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define HANDLE "fairlead.handle"
#define HEADERS "fairlead.headers"
#define BODY "fairlead.body"
#define METADATA "fairlead.metadata"
#define INFO "fairlead.info"
#define DYNAMIC "fairlead.dynamic"
#define CONNECTION "fairlead.connection"
#define TLS "fairlead.tls"
#define KEY "fairlead.key"

/// The run of an object, which must be the one under way.
static fl_lua_call *live(lua_State *L, const char *class_name) {
    fl_object *object = luaL_checkudata(L, 1, class_name);
    fl_lua_call *call = object->call;
    bool is_old = object->piece != call->piece && strcmp(class_name, HANDLE) != 0;
    if (object->serial != call->serial || fl_lua_of(L)->current != call || is_old)
        luaL_error(L, "object used outside of proper scope");
    return call;
}

static const fl_lua_host *host_of(fl_lua_call *call) { return call->lua->host; }

void fl_lua_push_object(lua_State *L, fl_lua_call *call, const char *class_name) {
    char full[32];
    snprintf(full, sizeof full, "fairlead.%s", class_name);
    fl_object *object = lua_newuserdata(L, sizeof *object);
    object->call = call;
    object->serial = call->serial;
    object->piece = call->piece;
    luaL_getmetatable(L, full);
    lua_setmetatable(L, -2);
}

static int push(lua_State *L, fl_lua_call *call, const char *class_name) {
    fl_lua_push_object(L, call, class_name);
    return 1;
}

/// Ends this piece of the run until what it waits for is there.
static int wait_for(lua_State *L, fl_lua_call *call, int what) {
    if (L != call->thread) return luaL_error(L, "cannot wait inside a coroutine of the script's own");
    call->waits = what;
    return lua_yield(L, 0);
}

/// The answer of what is not there: no value at all, as Envoy has it, which becomes nil where one is asked
/// for. Trailers never are: they do not pass through this proxy's HTTP/1.
static int nothing(lua_State *L) {
    (void)L;
    return 0;
}

// MARK: headers

static int get_header(lua_State *L) {
    fl_lua_call *call = live(L, HEADERS);
    fl_lua_text name = fl_check_text(L, 2);
    fl_lua_text value;
    if (!host_of(call)->header(call->context, name, 0, &value)) return nothing(L);
    fl_push(L, value);
    size_t index = 1;
    for (; host_of(call)->header(call->context, name, index, &value); index++) {
        luaL_checkstack(L, 2, "too many values");
        lua_pushliteral(L, ",");
        fl_push(L, value);
    }
    lua_concat(L, (int)(2 * index - 1));
    return 1;
}

static int get_header_at(lua_State *L) {
    fl_lua_call *call = live(L, HEADERS);
    fl_lua_text name = fl_check_text(L, 2);
    ptrdiff_t index = luaL_checkinteger(L, 3);
    fl_lua_text value;
    if (index < 0 || !host_of(call)->header(call->context, name, (size_t)index, &value)) return nothing(L);
    fl_push(L, value);
    return 1;
}

static int count_headers(lua_State *L) {
    fl_lua_call *call = live(L, HEADERS);
    fl_lua_text name = fl_check_text(L, 2);
    fl_lua_text value;
    size_t count = 0;
    while (host_of(call)->header(call->context, name, count, &value)) count++;
    lua_pushinteger(L, (ptrdiff_t)count);
    return 1;
}

static int edit(lua_State *L, int operation, fl_lua_text name, fl_lua_text value) {
    fl_lua_call *call = live(L, HEADERS);
    if (call->iterating) return luaL_error(L, "header map cannot be modified while iterating");
    int result =
        call->continued ? FL_LUA_LATE : host_of(call)->edit(call->context, operation, name, value);
    switch (result) {
    case FL_LUA_LATE: return luaL_error(L, "header map can no longer be modified");
    case FL_LUA_BAD_NAME: return luaL_error(L, "invalid header name '%s'", lua_tostring(L, 2));
    case FL_LUA_BAD_VALUE: return luaL_error(L, "invalid value of header '%s'", lua_tostring(L, 2));
    case FL_LUA_NO_ROOM: return luaL_error(L, "no room for header '%s'", lua_tostring(L, 2));
    default: return 0;
    }
}

static int add_header(lua_State *L) {
    fl_lua_text name = fl_check_text(L, 2);
    return edit(L, FL_LUA_ADD, name, fl_check_text(L, 3));
}

static int replace_header(lua_State *L) {
    fl_lua_text name = fl_check_text(L, 2);
    return edit(L, FL_LUA_REPLACE, name, fl_check_text(L, 3));
}

static int remove_header(lua_State *L) {
    return edit(L, FL_LUA_REMOVE, fl_check_text(L, 2), fl_text("", 0));
}

static int set_reason_phrase(lua_State *L) {
    return edit(L, FL_LUA_REASON, fl_text("", 0), fl_check_text(L, 2));
}

static int next_header(lua_State *L) {
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    fl_lua_call *call = live(L, HEADERS);
    size_t cursor = (size_t)lua_tointeger(L, lua_upvalueindex(2));
    fl_lua_text name, value;
    if (!host_of(call)->next_header(call->context, &cursor, &name, &value)) {
        call->iterating = false;
        return 0;
    }
    lua_pushinteger(L, (ptrdiff_t)cursor);
    lua_replace(L, lua_upvalueindex(2));
    fl_push(L, name);
    fl_push(L, value);
    return 2;
}

static int iterate_headers(lua_State *L) {
    fl_lua_call *call = live(L, HEADERS);
    call->iterating = true;
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_header, 2);
    return 1;
}

// MARK: bodies

static int body_length(lua_State *L) {
    fl_lua_call *call = live(L, BODY);
    lua_pushinteger(L, (ptrdiff_t)host_of(call)->body(call->context).count);
    return 1;
}

static int body_bytes(lua_State *L) {
    fl_lua_call *call = live(L, BODY);
    fl_lua_text body = host_of(call)->body(call->context);
    ptrdiff_t from = luaL_checkinteger(L, 2);
    ptrdiff_t count = luaL_checkinteger(L, 3);
    if (from < 0 || count < 0 || (size_t)from > body.count || (size_t)count > body.count - (size_t)from)
        return luaL_error(L, "index/length must be >= 0 and (index + length) must be <= buffer size");
    lua_pushlstring(L, (const char *)body.start + from, (size_t)count);
    return 1;
}

static int set_body(lua_State *L) {
    fl_lua_call *call = live(L, BODY);
    fl_lua_text body = fl_check_text(L, 2);
    if (!host_of(call)->set_body(call->context, body)) return luaL_error(L, "the body can no longer be set");
    lua_pushinteger(L, (ptrdiff_t)body.count);
    return 1;
}

static int wait_for_body(lua_State *L) {
    fl_lua_call *call = live(L, HANDLE);
    bool always = lua_toboolean(L, 2);
    if (call->continued) return luaL_error(L, "cannot call body() after body streaming has started");
    call->wants_always = always;
    return wait_for(L, call, FL_LUA_WAITS_FOR_BODY);
}

static int next_chunk(lua_State *L) {
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    return wait_for(L, live(L, HANDLE), FL_LUA_WAITS_FOR_CHUNK);
}

static int body_chunks(lua_State *L) {
    fl_lua_call *call = live(L, HANDLE);
    if (call->continued) return luaL_error(L, "cannot call bodyChunks after body processing has begun");
    call->continued = true;
    lua_settop(L, 1);
    lua_pushcclosure(L, next_chunk, 1);
    return 1;
}

/// The value on top becomes one more of the name below it in the table at `at`, as a list from the second on.
static void put_in_list(lua_State *L, int at) {
    lua_pushvalue(L, -2);
    lua_rawget(L, at);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_rawset(L, at);
        return;
    }
    if (!lua_istable(L, -1)) {
        lua_createtable(L, 2, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    lua_rawset(L, at);
}

/// A table of the answer's fields, and its body; nil where that is empty.
static int push_answer(lua_State *L, fl_lua_call *call) {
    size_t cursor = 0;
    fl_lua_text name, value;
    lua_newtable(L);
    int table = lua_gettop(L);
    while (host_of(call)->next_answer(call->context, &cursor, &name, &value)) {
        fl_push(L, name);
        fl_push(L, value);
        if (call->wants_lists)
            put_in_list(L, table);
        else
            lua_rawset(L, table);
    }
    fl_lua_text body = host_of(call)->answer_body(call->context);
    if (body.count > 0)
        fl_push(L, body);
    else
        lua_pushnil(L);
    return 2;
}

int fl_lua_push_result(lua_State *L, fl_lua_call *call) {
    if (call->waits == FL_LUA_WAITS_FOR_CALL) return push_answer(L, call);
    bool always = call->waits == FL_LUA_WAITS_FOR_BODY && call->wants_always;
    return call->given || always ? push(L, call, "body") : nothing(L);
}

// MARK: answers and calls

static void put_value(lua_State *L, fl_lua_call *call, fl_lua_text name) {
    if (lua_type(L, -1) == LUA_TBOOLEAN) {
        const char *word = lua_toboolean(L, -1) ? "true" : "false";
        host_of(call)->put_header(call->context, name, fl_text(word, strlen(word)));
        return;
    }
    if (!lua_isstring(L, -1)) luaL_error(L, "header values must be strings");
    host_of(call)->put_header(call->context, name, fl_check_text(L, -1));
}

/// Hands the fields of the table at `at` to the host; a value may be a list.
static void put_headers(lua_State *L, fl_lua_call *call, int at) {
    luaL_checktype(L, at, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, at)) {
        if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "header names must be strings");
        fl_lua_text name = fl_check_text(L, -2);
        if (lua_istable(L, -1)) {
            for (int index = 1;; index++) {
                lua_rawgeti(L, -1, index);
                if (lua_isnil(L, -1)) break;
                put_value(L, call, name);
                lua_pop(L, 1);
            }
            lua_pop(L, 1);
        } else {
            put_value(L, call, name);
        }
        lua_pop(L, 1);
    }
}

static int respond(lua_State *L) {
    fl_lua_call *call = live(L, HANDLE);
    if (call->response) return luaL_error(L, "respond not currently supported in the response path");
    if (call->continued) return luaL_error(L, "respond() cannot be called if headers have been continued");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, ":status");
    double status = lua_tonumber(L, -1);
    if (!(status >= 200 && status < 600)) return luaL_error(L, ":status must be between 200-599");
    lua_pop(L, 1);
    host_of(call)->begin_message(call->context);
    put_headers(L, call, 2);
    if (!lua_isnoneornil(L, 3)) host_of(call)->put_body(call->context, fl_check_text(L, 3));
    return wait_for(L, call, FL_LUA_RESPONDED);
}

static void require_field(lua_State *L, int at, const char *name) {
    lua_getfield(L, at, name);
    if (lua_isnil(L, -1))
        luaL_error(L, "http call headers must include ':path', ':method', and ':authority'");
    lua_pop(L, 1);
}

/// The table of options at `at`.
static void read_options(lua_State *L, int at, fl_lua_call *call, fl_lua_http_call *http) {
    lua_pushnil(L);
    while (lua_next(L, at)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(key, "timeout_ms") == 0) {
            ptrdiff_t timeout = luaL_checkinteger(L, -1);
            if (timeout < 0) luaL_error(L, "http call timeout must be >= 0");
            http->timeout_ms = (uint64_t)timeout;
        } else if (strcmp(key, "asynchronous") == 0) {
            http->asynchronous = lua_toboolean(L, -1);
        } else if (strcmp(key, "return_duplicate_headers") == 0) {
            call->wants_lists = lua_toboolean(L, -1);
        } else if (strcmp(key, "send_xff") == 0) {
            http->sends_forwarded_for = lua_toboolean(L, -1);
        } else if (strcmp(key, "trace_sampled") != 0) {
            luaL_error(L, "\"%s\" is not valid key for httpCall() options", key);
        }
        lua_pop(L, 1);
    }
}

static int http_call(lua_State *L) {
    fl_lua_call *call = live(L, HANDLE);
    fl_lua_http_call http = {fl_check_text(L, 2), 0, 0, 1};
    luaL_checktype(L, 3, LUA_TTABLE);
    require_field(L, 3, ":path");
    require_field(L, 3, ":method");
    require_field(L, 3, ":authority");
    call->wants_lists = false;
    if (lua_istable(L, 5)) {
        read_options(L, 5, call, &http);
    } else {
        ptrdiff_t timeout = luaL_checkinteger(L, 5);
        if (timeout < 0) return luaL_error(L, "http call timeout must be >= 0");
        http.timeout_ms = (uint64_t)timeout;
        http.asynchronous = lua_toboolean(L, 6);
    }
    if (L != call->thread && !http.asynchronous)
        return luaL_error(L, "cannot wait inside a coroutine of the script's own");
    if (call->calls == call->lua->limits.calls) return luaL_error(L, "too many calls of httpCall");
    call->calls++;
    host_of(call)->begin_message(call->context);
    put_headers(L, call, 3);
    if (!lua_isnoneornil(L, 4)) host_of(call)->put_body(call->context, fl_check_text(L, 4));
    switch (host_of(call)->make_call(call->context, &http)) {
    case FL_LUA_NO_CLUSTER: return luaL_error(L, "http call cluster invalid. Must be configured");
    case FL_LUA_BAD_CALL: return luaL_error(L, "http call headers cannot be sent");
    case FL_LUA_LONG_CALL: return luaL_error(L, "http call is too long");
    }
    return http.asynchronous ? 0 : wait_for(L, call, FL_LUA_WAITS_FOR_CALL);
}

// MARK: signatures

/// The bytes at `at`, of which the script says behind them how many count.
static fl_lua_text check_counted(lua_State *L, int at) {
    fl_lua_text text = fl_check_text(L, at);
    lua_Number count = luaL_checknumber(L, at + 1);
    luaL_argcheck(L, count >= 0 && count <= (lua_Number)text.count, at + 1, "not a length of the text");
    text.count = (size_t)count;
    return text;
}

/// An object whose `get` is the key, or nil where it is none.
static int import_public_key(lua_State *L) {
    fl_lua_call *call = live(L, HANDLE);
    fl_lua_text key = check_counted(L, 2);
    lua_newuserdata(L, 1);
    luaL_getmetatable(L, KEY);
    lua_setmetatable(L, -2);
    lua_createtable(L, 1, 0);
    if (host_of(call)->is_key(key)) {
        fl_push(L, key);
        lua_rawseti(L, -2, 1);
    }
    lua_setfenv(L, -2);
    fl_lua_check_time(L);
    return 1;
}

static int key_get(lua_State *L) {
    luaL_checkudata(L, 1, KEY);
    lua_getfenv(L, 1);
    lua_rawgeti(L, -1, 1);
    return 1;
}

static int verify_signature(lua_State *L) {
    fl_lua_call *call = live(L, HANDLE);
    fl_lua_text hash = fl_check_text(L, 2);
    fl_lua_text key = fl_check_text(L, 3);
    fl_lua_text signature = check_counted(L, 4);
    fl_lua_text data = check_counted(L, 6);
    if (!host_of(call)->is_key(key)) return luaL_error(L, "invalid public key");
    int outcome = host_of(call)->verify(hash, key, signature, data);
    fl_lua_check_time(L);
    lua_pushboolean(L, outcome == FL_LUA_VERIFIED);
    switch (outcome) {
    case FL_LUA_VERIFIED: lua_pushnil(L); break;
    case FL_LUA_UNKNOWN_HASH: lua_pushfstring(L, "%s is not supported.", lua_tostring(L, 2)); break;
    case FL_LUA_UNFIT_KEY: lua_pushliteral(L, "Failed to initialize digest verify."); break;
    default: lua_pushliteral(L, "Failed to verify digest. Error code: 0"); break;
    }
    return 2;
}

// MARK: the handle

static int write_log(lua_State *L, int level) {
    fl_lua_call *call = live(L, HANDLE);
    host_of(call)->log(call->context, level, fl_check_text(L, 2));
    return 0;
}

static int log_trace(lua_State *L) { return write_log(L, FL_LUA_TRACE); }
static int log_debug(lua_State *L) { return write_log(L, FL_LUA_DEBUG); }
static int log_info(lua_State *L) { return write_log(L, FL_LUA_INFO); }
static int log_warn(lua_State *L) { return write_log(L, FL_LUA_WARN); }
static int log_err(lua_State *L) { return write_log(L, FL_LUA_ERR); }
static int log_critical(lua_State *L) { return write_log(L, FL_LUA_CRITICAL); }

static int handle_headers(lua_State *L) { return push(L, live(L, HANDLE), "headers"); }
static int handle_metadata(lua_State *L) { return push(L, live(L, HANDLE), "metadata"); }
static int handle_info(lua_State *L) { return push(L, live(L, HANDLE), "info"); }
static int handle_connection(lua_State *L) { return push(L, live(L, HANDLE), "connection"); }

static int clear_route_cache(lua_State *L) {
    fl_lua_call *call = live(L, HANDLE);
    if (call->response) return luaL_error(L, "clearRouteCache not supported in the response path");
    host_of(call)->clear_route(call->context);
    return 0;
}

/// RFC 4648 4.
static int base64_escape(lua_State *L) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    live(L, HANDLE);
    fl_lua_text text = fl_check_text(L, 2);
    luaL_Buffer out;
    fl_lua_check_stack(L);
    luaL_buffinit(L, &out);
    for (size_t at = 0; at < text.count; at += 3) {
        size_t left = text.count - at;
        unsigned group = (unsigned)text.start[at] << 16;
        if (left > 1) group |= (unsigned)text.start[at + 1] << 8;
        if (left > 2) group |= text.start[at + 2];
        luaL_addchar(&out, digits[group >> 18]);
        luaL_addchar(&out, digits[group >> 12 & 63]);
        luaL_addchar(&out, left > 1 ? digits[group >> 6 & 63] : '=');
        luaL_addchar(&out, left > 2 ? digits[group & 63] : '=');
    }
    luaL_pushresult(&out);
    return 1;
}

static double now(lua_State *L) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    bool micro = luaL_optinteger(L, 2, 0) == 1;
    double scale = micro ? 1e6 : 1e3;
    return (double)time.tv_sec * scale + (double)(time.tv_nsec / (micro ? 1000 : 1000000));
}

static int timestamp(lua_State *L) {
    live(L, HANDLE);
    lua_pushnumber(L, now(L));
    return 1;
}

static int timestamp_string(lua_State *L) {
    char text[32];
    live(L, HANDLE);
    snprintf(text, sizeof text, "%.0f", now(L));
    lua_pushstring(L, text);
    return 1;
}

// MARK: stream information

static fl_lua_text fact_of(fl_lua_call *call, int which) {
    fl_lua_text value = fl_text("", 0);
    host_of(call)->fact(call->context, which, &value);
    return value;
}

static int fact(lua_State *L, int which) {
    fl_push(L, fact_of(live(L, INFO), which));
    return 1;
}

static int info_protocol(lua_State *L) { return fact(L, FL_LUA_PROTOCOL); }
static int info_route(lua_State *L) { return fact(L, FL_LUA_ROUTE_NAME); }
static int info_local(lua_State *L) { return fact(L, FL_LUA_LOCAL_ADDRESS); }
static int info_direct(lua_State *L) { return fact(L, FL_LUA_DIRECT_REMOTE_ADDRESS); }
static int info_remote(lua_State *L) { return fact(L, FL_LUA_REMOTE_ADDRESS); }
static int info_server_name(lua_State *L) { return fact(L, FL_LUA_SERVER_NAME); }
static int info_dynamic(lua_State *L) { return push(L, live(L, INFO), "dynamic"); }

// MARK: TLS of the client's connection

static int push_tls(lua_State *L, fl_lua_call *call) {
    if (fact_of(call, FL_LUA_TLS_VERSION).count > 0) return push(L, call, "tls");
    lua_pushnil(L);
    return 1;
}

static int info_tls(lua_State *L) { return push_tls(L, live(L, INFO)); }
static int connection_tls(lua_State *L) { return push_tls(L, live(L, CONNECTION)); }

static int tls_fact(lua_State *L, int which) {
    fl_push(L, fact_of(live(L, TLS), which));
    return 1;
}

/// One that does not hold ends its handshake, so whatever was shown is valid.
static int tls_presented(lua_State *L) {
    lua_pushboolean(L, fact_of(live(L, TLS), FL_LUA_PEER_DIGEST).count > 0);
    return 1;
}

/// A list of the first name, or of none.
static int tls_names(lua_State *L, int which) {
    fl_lua_text name = fact_of(live(L, TLS), which);
    lua_newtable(L);
    if (name.count > 0) {
        fl_push(L, name);
        lua_rawseti(L, -2, 1);
    }
    return 1;
}

static int tls_version(lua_State *L) { return tls_fact(L, FL_LUA_TLS_VERSION); }
static int tls_cipher(lua_State *L) { return tls_fact(L, FL_LUA_TLS_CIPHER); }
static int tls_digest(lua_State *L) { return tls_fact(L, FL_LUA_PEER_DIGEST); }
static int tls_subject(lua_State *L) { return tls_fact(L, FL_LUA_PEER_SUBJECT); }
static int tls_uris(lua_State *L) { return tls_names(L, FL_LUA_PEER_URI); }
static int tls_dns_names(lua_State *L) { return tls_names(L, FL_LUA_PEER_DNS); }

// MARK: metadata

/// Pushes what the exchange's scripts keep, filter by filter; nil where they keep nothing.
static void push_data(lua_State *L, fl_lua_call *call) {
    if (call->data == NULL || *call->data <= 0) {
        lua_pushnil(L);
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, *call->data);
    }
}

static int dynamic_get(lua_State *L) {
    fl_lua_call *call = live(L, DYNAMIC);
    luaL_checkstring(L, 2);
    push_data(L, call);
    if (lua_isnil(L, -1)) return nothing(L);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return lua_isnil(L, -1) ? nothing(L) : 1;
}

static int dynamic_set(lua_State *L) {
    fl_lua_call *call = live(L, DYNAMIC);
    luaL_checkstring(L, 2);
    luaL_checkstring(L, 3);
    int type = lua_type(L, 4);
    luaL_argcheck(
        L, type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN || type == LUA_TTABLE, 4,
        "string, number, boolean or table expected");
    lua_settop(L, 4);
    push_data(L, call);
    if (lua_isnil(L, -1)) {
        if (call->data == NULL) return luaL_error(L, "metadata can no longer be set");
        lua_newtable(L);
        lua_pushvalue(L, -1);
        *call->data = luaL_ref(L, LUA_REGISTRYINDEX);
        lua_replace(L, 5);
    }
    lua_pushvalue(L, 2);
    lua_rawget(L, 5);
    if (lua_isnil(L, -1)) {
        lua_newtable(L);
        lua_replace(L, 6);
        lua_pushvalue(L, 2);
        lua_pushvalue(L, 6);
        lua_rawset(L, 5);
    }
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 4);
    lua_rawset(L, 6);
    return 0;
}

static int dynamic_pairs(lua_State *L) {
    fl_lua_call *call = live(L, DYNAMIC);
    lua_getglobal(L, "next");
    push_data(L, call);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    lua_pushnil(L);
    return 3;
}

static int metadata_get(lua_State *L) {
    live(L, METADATA);
    luaL_checkstring(L, 2);
    return nothing(L);
}

/// Routes made of Istio's documents have no metadata for scripts.
static int metadata_pairs(lua_State *L) {
    live(L, METADATA);
    lua_getglobal(L, "next");
    lua_newtable(L);
    lua_pushnil(L);
    return 3;
}

// MARK: classes

static const luaL_Reg handle_methods[] = {
    {"headers", handle_headers}, {"body", wait_for_body}, {"bodyChunks", body_chunks},
    {"trailers", nothing}, {"metadata", handle_metadata}, {"streamInfo", handle_info},
    {"connection", handle_connection}, {"respond", respond}, {"httpCall", http_call},
    {"logTrace", log_trace}, {"logDebug", log_debug}, {"logInfo", log_info}, {"logWarn", log_warn},
    {"logErr", log_err}, {"logCritical", log_critical}, {"base64Escape", base64_escape},
    {"timestamp", timestamp}, {"timestampString", timestamp_string},
    {"clearRouteCache", clear_route_cache}, {"importPublicKey", import_public_key},
    {"verifySignature", verify_signature}, {NULL, NULL},
};
static const luaL_Reg header_methods[] = {
    {"get", get_header}, {"getAtIndex", get_header_at}, {"getNumValues", count_headers},
    {"add", add_header}, {"replace", replace_header}, {"remove", remove_header},
    {"setHttp1ReasonPhrase", set_reason_phrase}, {NULL, NULL},
};
static const luaL_Reg body_methods[] = {
    {"length", body_length}, {"getBytes", body_bytes}, {"setBytes", set_body}, {NULL, NULL},
};
static const luaL_Reg info_methods[] = {
    {"protocol", info_protocol}, {"routeName", info_route}, {"dynamicMetadata", info_dynamic},
    {"downstreamLocalAddress", info_local}, {"downstreamDirectRemoteAddress", info_direct},
    {"downstreamRemoteAddress", info_remote}, {"requestedServerName", info_server_name},
    {"downstreamSslConnection", info_tls}, {NULL, NULL},
};
static const luaL_Reg dynamic_methods[] = {{"get", dynamic_get}, {"set", dynamic_set}, {NULL, NULL}};
static const luaL_Reg metadata_methods[] = {{"get", metadata_get}, {NULL, NULL}};
static const luaL_Reg connection_methods[] = {{"ssl", connection_tls}, {NULL, NULL}};
static const luaL_Reg key_methods[] = {{"get", key_get}, {NULL, NULL}};
static const luaL_Reg tls_methods[] = {
    {"peerCertificatePresented", tls_presented}, {"peerCertificateValidated", tls_presented},
    {"tlsVersion", tls_version}, {"ciphersuiteString", tls_cipher},
    {"sha256PeerCertificateDigest", tls_digest}, {"subjectPeerCertificate", tls_subject},
    {"uriSanPeerCertificate", tls_uris}, {"dnsSansPeerCertificate", tls_dns_names}, {NULL, NULL},
};

static void open_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction pairs) {
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    if (pairs != NULL) {
        lua_pushcfunction(L, pairs);
        lua_setfield(L, -2, "__pairs");
    }
    lua_pop(L, 1);
}

void fl_lua_open_objects(lua_State *L) {
    open_class(L, HANDLE, handle_methods, NULL);
    open_class(L, HEADERS, header_methods, iterate_headers);
    open_class(L, BODY, body_methods, NULL);
    open_class(L, METADATA, metadata_methods, metadata_pairs);
    open_class(L, INFO, info_methods, NULL);
    open_class(L, DYNAMIC, dynamic_methods, dynamic_pairs);
    open_class(L, CONNECTION, connection_methods, NULL);
    open_class(L, TLS, tls_methods, NULL);
    open_class(L, KEY, key_methods, NULL);
}
