// What scripts find in their globals: Lua's base functions, string, table, math, bit, coroutine and the time
// functions of os. Nothing that reads files, starts programs, loads code that is not text or touches the
// engine; functions that call back into Lua look at the C stack first.
#include <string.h>

#include "internal.h"

static const char *const kept_globals[] = {
    "EnvoyTimestampResolution", "_VERSION", "assert", "bit", "collectgarbage", "coroutine", "error",
    "getfenv", "getmetatable", "ipairs", "loadstring", "math", "next", "os", "pairs", "pcall", "print",
    "rawequal", "rawget", "rawset", "select", "setfenv", "setmetatable", "string", "table", "tonumber",
    "tostring", "type", "unpack", "xpcall", NULL,
};
static const char *const kept_os[] = {"clock", "date", "difftime", "time", NULL};
static const char *const libraries[] = {"bit", "coroutine", "math", "os", "string", "table", NULL};

static int sandbox_pairs(lua_State *L) {
    if (lua_isuserdata(L, 1) && luaL_getmetafield(L, 1, "__pairs")) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 3);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int sandbox_say(lua_State *L) {
    fl_lua *lua = fl_lua_of(L);
    int count = lua_gettop(L);
    luaL_Buffer line;
    fl_lua_check_stack(L);
    luaL_buffinit(L, &line);
    for (int at = 1; at <= count; at++) {
        if (at > 1) luaL_addchar(&line, ' ');
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushvalue(L, at);
        lua_call(L, 1, 1);
        if (!lua_isstring(L, -1)) return luaL_error(L, "'tostring' must return a string to 'print'");
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    void *context = lua->current != NULL ? lua->current->context : lua->top_context;
    lua->host->log(context, FL_LUA_INFO, fl_check_text(L, -1));
    return 0;
}

/// Text only, and with the caller's globals.
static int sandbox_loadstring(lua_State *L) {
    fl_lua_text code = fl_check_text(L, 1);
    const char *name = luaL_optstring(L, 2, "=loadstring");
    if (luaL_loadbufferx(L, (const char *)code.start, code.count, name, "t") != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setfenv(L, -2);
    return 1;
}

/// When to collect is the proxy's business: only the count is told.
static int sandbox_collectgarbage(lua_State *L) {
    const char *what = luaL_optstring(L, 1, "collect");
    lua_pushinteger(L, strcmp(what, "count") == 0 ? lua_gc(L, LUA_GCCOUNT, 0) : 0);
    return 1;
}

/// Calls upvalue 1 after a look at the C stack.
static int guarded(lua_State *L) {
    fl_lua_check_stack(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int guarded_wrap(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    lua_pushcclosure(L, guarded, 1);
    return 1;
}

/// Puts `function` with the old value as its upvalue in the place of a library's member.
static void guard(lua_State *L, const char *library, const char *name, lua_CFunction function) {
    lua_getglobal(L, library);
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0) return true;
    }
    return false;
}

/// Removes from the table on top what is not named.
static void keep_only(lua_State *L, const char *const *names) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING && is_one_of(lua_tostring(L, -1), names)) continue;
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, -4);
    }
}

static void open_library(lua_State *L, const char *name, lua_CFunction open) {
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

static void add_resolutions(lua_State *L) {
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "MILLISECOND");
    lua_pushinteger(L, 1);
    lua_setfield(L, -2, "MICROSECOND");
    lua_setglobal(L, "EnvoyTimestampResolution");
}

/// xpcall whose handler runs after the stack is unwound: LuaJIT's own runs it on top, where the stack may be
/// full and no hook can stop it.
static void open_xpcall(lua_State *L) {
    static const char code[] =
        "local pcall = ...\n"
        "local function finish(handler, ok, ...)\n"
        "  if ok then return true, ... end\n"
        "  local _, message = pcall(handler, (...))\n"
        "  return false, message\n"
        "end\n"
        "return function(f, handler, ...) return finish(handler, pcall(f, ...)) end\n";
    if (luaL_loadbuffer(L, code, sizeof code - 1, "=xpcall") != 0) lua_error(L);
    lua_getglobal(L, "pcall");
    lua_call(L, 1, 1);
    lua_setglobal(L, "xpcall");
}

void fl_lua_open_sandbox(lua_State *L) {
    open_library(L, "", luaopen_base);
    open_library(L, LUA_STRLIBNAME, luaopen_string);
    open_library(L, LUA_TABLIBNAME, luaopen_table);
    open_library(L, LUA_MATHLIBNAME, luaopen_math);
    open_library(L, LUA_BITLIBNAME, luaopen_bit);
    open_library(L, LUA_OSLIBNAME, luaopen_os);
    lua_getglobal(L, "os");
    keep_only(L, kept_os);
    lua_pop(L, 1);
    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    guard(L, "table", "sort", guarded);
    guard(L, "coroutine", "resume", guarded);
    guard(L, "coroutine", "wrap", guarded_wrap);
    open_xpcall(L);
    lua_getglobal(L, "next");
    lua_pushcclosure(L, sandbox_pairs, 1);
    lua_setglobal(L, "pairs");
    lua_getglobal(L, "tostring");
    lua_pushcclosure(L, sandbox_say, 1);
    lua_setglobal(L, "print");
    lua_pushcfunction(L, sandbox_collectgarbage);
    lua_setglobal(L, "collectgarbage");
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    lua_pushcclosure(L, sandbox_loadstring, 1);
    lua_setglobal(L, "loadstring");
    add_resolutions(L);
    // The methods of texts are the string library: it must not be changed behind other scripts' backs.
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    keep_only(L, kept_globals);
    lua_pop(L, 1);
}

/// Pushes a copy of the table on top.
static void push_copy(lua_State *L) {
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, -3)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

void fl_lua_push_environment(lua_State *L) {
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    push_copy(L);
    lua_remove(L, -2);
    for (const char *const *library = libraries; *library != NULL; library++) {
        lua_getfield(L, -1, *library);
        push_copy(L);
        lua_setfield(L, -3, *library);
        lua_pop(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, sandbox_loadstring, 1);
    lua_setfield(L, -2, "loadstring");
}
