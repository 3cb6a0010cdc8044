// What the files of the shim share.
#ifndef FAIRLEAD_LUA_INTERNAL_H
#define FAIRLEAD_LUA_INTERNAL_H
#include <luajit-2.1/lauxlib.h>
#include <luajit-2.1/lua.h>
#include <luajit-2.1/luajit.h>
#include <luajit-2.1/lualib.h>
#include <stdbool.h>

#include "CLuaJIT.h"

/// Instructions between two looks at clock and stack: few, because some copy megabytes.
#define FL_LUA_HOOK_STEP 200
/// Slots of the Lua stack that a hook must find free: more than the instructions up to the next one usually
/// take.
#define FL_LUA_STACK_SLOTS 4000
#define FL_LUA_ERROR_BYTES 1024
/// Scripts of one interpreter.
#define FL_LUA_SCRIPTS_MAX 4096

struct fl_lua {
    lua_State *state;
    /// LuaJIT's own allocator, which ours counts for.
    lua_Alloc allocate;
    void *allocator;
    size_t used;
    /// Bytes from which on a run ends with a whole collection.
    size_t collect_at;
    fl_lua_limits limits;
    const fl_lua_host *host;
    /// Where the C stack stood when the script was entered.
    const char *stack;
    uint64_t left;
    uint64_t deadline_ns;
    /// When the thread's clock was last looked at, by one that costs no system call.
    uint64_t tick_ns;
    bool late;
    uint64_t pattern_left;
    /// References of the functions of each script: request, response; LUA_NOREF where there is none.
    int (*functions)[2];
    int scripts;
    fl_lua_call *idle;
    fl_lua_call *all;
    /// The run under way; NULL at the top level of a script.
    fl_lua_call *current;
    void *top_context;
    char error[FL_LUA_ERROR_BYTES];
};

struct fl_lua_call {
    fl_lua *lua;
    lua_State *thread;
    int thread_reference;
    /// Objects of an earlier run of this slot know another number.
    uint32_t serial;
    /// Objects made before a wait know another number; the handle alone outlives it.
    uint32_t piece;
    int script;
    int response;
    void *context;
    int *data;
    uint64_t left;
    /// What it waits for (`FL_LUA_WAITS_...`), or FL_LUA_RESPONDED; FL_LUA_DONE: nothing.
    int waits;
    int given;
    bool started;
    /// Headers went on: no edits, no `respond`.
    bool continued;
    bool iterating;
    /// `body(true)`: an object even where there is no body.
    bool wants_always;
    /// The whole body was there once: to ask for it again is no wait.
    bool has_body;
    /// Of `httpCall`: how many there were, and whether lines of one name come as a list.
    unsigned calls;
    bool wants_lists;
    int outcome;
    fl_lua_call *next_idle;
    fl_lua_call *next;
};

/// A userdata that stands for a part of a message.
typedef struct fl_object {
    fl_lua_call *call;
    uint32_t serial;
    uint32_t piece;
} fl_object;

/// The interpreter of any of its states.
static inline fl_lua *fl_lua_of(lua_State *L) {
    void *owner = NULL;
    lua_getallocf(L, &owner);
    return owner;
}
static inline fl_lua_text fl_text(const char *start, size_t count) {
    return (fl_lua_text){(const uint8_t *)start, count};
}
static inline fl_lua_text fl_check_text(lua_State *L, int at) {
    size_t count = 0;
    const char *start = luaL_checklstring(L, at, &count);
    return fl_text(start, count);
}
static inline void fl_push(lua_State *L, fl_lua_text text) {
    lua_pushlstring(L, (const char *)text.start, text.count);
}

/// Raises an error when the C stack is used up: functions that call back into Lua call it first.
void fl_lua_check_stack(lua_State *L);
/// Raises an error when the run's time is over: functions that take long by themselves call it last.
void fl_lua_check_time(lua_State *L);
/// Makes the globals that scripts may use.
void fl_lua_open_sandbox(lua_State *L);
/// Pushes a fresh environment for one script.
void fl_lua_push_environment(lua_State *L);
/// Registers the classes of message objects.
void fl_lua_open_objects(lua_State *L);
/// Pushes a new object of a class: "handle", "headers", "body".
void fl_lua_push_object(lua_State *L, fl_lua_call *call, const char *class_name);
/// Pushes what a run waited for; returns how many values.
int fl_lua_push_result(lua_State *L, fl_lua_call *call);
/// find, match, gmatch and gsub with a bound on their steps.
void fl_lua_open_patterns(lua_State *L);
#endif
