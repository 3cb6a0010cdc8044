// The interpreter: its memory, its budget of instructions, loading scripts and running their functions.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t read_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// Whether the deadline is over. The thread's own clock is a system call: it is read whenever the coarse one,
/// which moves every few milliseconds, has moved.
static bool is_late(fl_lua *lua) {
    uint64_t tick = read_ns(CLOCK_MONOTONIC_COARSE);
    if (tick != lua->tick_ns) {
        lua->tick_ns = tick;
        if (read_ns(CLOCK_THREAD_CPUTIME_ID) > lua->deadline_ns) lua->late = true;
    }
    return lua->late;
}

static void *allocate(void *owner, void *block, size_t old_size, size_t new_size) {
    fl_lua *lua = owner;
    if (new_size > old_size && lua->used + (new_size - old_size) > lua->limits.memory) return NULL;
    void *made = lua->allocate(lua->allocator, block, old_size, new_size);
    if (made != NULL || new_size == 0) lua->used += new_size - old_size;
    return made;
}

void fl_lua_check_stack(lua_State *L) {
    fl_lua *lua = fl_lua_of(L);
    char here;
    if ((size_t)(lua->stack - &here) > lua->limits.stack)
        luaL_error(L, "stack overflow (calls between C and Lua)");
}

/// Raises an error at the line that runs: a hook stands on no level of its own.
static void stop(lua_State *L, const char *what) {
    luaL_where(L, 0);
    lua_pushstring(L, what);
    lua_concat(L, 2);
    lua_error(L);
}

static void hook(lua_State *L, lua_Debug *event) {
    (void)event;
    fl_lua *lua = fl_lua_of(L);
    uint64_t left = lua->left;
    // pcall may catch the error that follows: whatever the script does next ends it again.
    lua->left = 0;
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    fl_lua_check_stack(L);
    // Where the Lua stack is full no hook can run, and a loop up there (pcall catches the overflow, the next
    // call overflows again) would never be looked at.
    if (left > 0 && !lua_checkstack(L, FL_LUA_STACK_SLOTS)) stop(L, "stack overflow");
    bool late = is_late(lua);
    if (left >= FL_LUA_HOOK_STEP && !late) {
        lua->left = left - FL_LUA_HOOK_STEP;
        lua_sethook(L, hook, LUA_MASKCOUNT, FL_LUA_HOOK_STEP);
        return;
    }
    stop(L, late ? "script ran too long" : "script ran too many instructions");
}

void fl_lua_check_time(lua_State *L) {
    fl_lua *lua = fl_lua_of(L);
    if (!is_late(lua)) return;
    lua->left = 0;
    stop(L, "script ran too long");
}

/// From here on what runs is counted.
static void start_budget(fl_lua *lua, uint64_t instructions) {
    lua->left = instructions;
    lua->pattern_left = lua->limits.pattern_steps;
    lua->deadline_ns = read_ns(CLOCK_THREAD_CPUTIME_ID) + lua->limits.milliseconds * 1000000u;
    lua->tick_ns = read_ns(CLOCK_MONOTONIC_COARSE);
    lua->late = false;
    lua_sethook(lua->state, hook, LUA_MASKCOUNT, FL_LUA_HOOK_STEP);
}

static void note_error(fl_lua *lua, lua_State *L) {
    size_t count = 0;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &count) : NULL;
    if (text == NULL) {
        snprintf(lua->error, sizeof lua->error, "an error that is a %s", lua_typename(L, lua_type(L, -1)));
        return;
    }
    size_t kept = count < sizeof lua->error - 1 ? count : sizeof lua->error - 1;
    memcpy(lua->error, text, kept);
    lua->error[kept] = 0;
}

/// Calls `function` so that no error leaves it; 0 or -1 with `lua->error`.
static int protect(fl_lua *lua, lua_CFunction function, void *argument) {
    char here;
    lua->stack = &here;
    int status = lua_cpcall(lua->state, function, argument);
    if (status != 0) note_error(lua, lua->state);
    lua_settop(lua->state, 0);
    // Garbage that was not yet due for collection must not be what the next run lacks.
    if (status != 0 || lua->used > lua->collect_at) {
        lua_gc(lua->state, LUA_GCCOLLECT, 0);
        size_t half = lua->limits.memory / 2;
        lua->collect_at = lua->used + lua->used / 4 > half ? lua->used + lua->used / 4 : half;
    }
    return status == 0 ? 0 : -1;
}

// MARK: life

static int open_all(lua_State *L) {
    fl_lua_open_sandbox(L);
    fl_lua_open_patterns(L);
    fl_lua_open_objects(L);
    return 0;
}

fl_lua *fl_lua_new(const fl_lua_limits *limits, const fl_lua_host *host) {
    fl_lua *lua = calloc(1, sizeof *lua);
    if (lua == NULL) return NULL;
    lua->limits = *limits;
    lua->host = host;
    lua->state = luaL_newstate();
    if (lua->state == NULL) {
        free(lua);
        return NULL;
    }
    // Without GC64 LuaJIT insists on its own allocator (it needs low addresses); ours only counts in front.
    lua->allocate = lua_getallocf(lua->state, &lua->allocator);
    lua_setallocf(lua->state, allocate, lua);
    lua_gc(lua->state, LUA_GCCOLLECT, 0);
    lua->used = (size_t)lua_gc(lua->state, LUA_GCCOUNT, 0) * 1024;
    lua->collect_at = limits->memory / 2;
    luaJIT_setmode(lua->state, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    if (protect(lua, open_all, NULL) != 0) {
        fl_lua_free(lua);
        return NULL;
    }
    return lua;
}

void fl_lua_free(fl_lua *lua) {
    if (lua == NULL) return;
    for (fl_lua_call *call = lua->all; call != NULL;) {
        fl_lua_call *next = call->next;
        free(call);
        call = next;
    }
    // The state is part of what its own allocator holds: lua_close must meet that one.
    lua_setallocf(lua->state, lua->allocate, lua->allocator);
    lua_close(lua->state);
    free(lua->functions);
    free(lua);
}

size_t fl_lua_memory(const fl_lua *lua) { return lua->used; }
const char *fl_lua_error(const fl_lua *lua) { return lua->error; }

// MARK: loading

typedef struct source {
    fl_lua_text code;
    const char *name;
    unsigned lines_before;
    int (*functions)[2];
} source;

/// Gives the parser the lines above the code as empty ones, so that its line numbers are the file's.
static const char *read_source(lua_State *L, void *data, size_t *size) {
    static const char lines[] = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    (void)L;
    source *from = data;
    if (from->lines_before > 0) {
        *size = from->lines_before < sizeof lines - 1 ? from->lines_before : sizeof lines - 1;
        from->lines_before -= (unsigned)*size;
        return lines;
    }
    *size = from->code.count;
    from->code.count = 0;
    return *size > 0 ? (const char *)from->code.start : NULL;
}

static int reference_function(lua_State *L, const char *name) {
    lua_pushstring(L, name);
    lua_rawget(L, 1);
    if (lua_isfunction(L, -1)) return luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
    return LUA_NOREF;
}

static int load_script(lua_State *L) {
    source *from = lua_touserdata(L, 1);
    lua_settop(L, 0);
    fl_lua_push_environment(L);
    // Text only: nothing checks byte code, and bad one runs anything.
    if (lua_loadx(L, read_source, from, from->name, "t") != 0) return lua_error(L);
    lua_pushvalue(L, 1);
    lua_setfenv(L, 2);
    lua_call(L, 0, 0);
    (*from->functions)[0] = reference_function(L, "envoy_on_request");
    (*from->functions)[1] = reference_function(L, "envoy_on_response");
    return 0;
}

int fl_lua_load(fl_lua *lua, fl_lua_text code, const char *name, unsigned lines_before, void *context) {
    if (lua->scripts == FL_LUA_SCRIPTS_MAX) {
        snprintf(lua->error, sizeof lua->error, "more than %d scripts", FL_LUA_SCRIPTS_MAX);
        return -1;
    }
    size_t size = (size_t)(lua->scripts + 1) * sizeof *lua->functions;
    int(*functions)[2] = realloc(lua->functions, size);
    if (functions == NULL) {
        snprintf(lua->error, sizeof lua->error, "no memory");
        return -1;
    }
    lua->functions = functions;
    char chunk[FL_LUA_ERROR_BYTES];
    snprintf(chunk, sizeof chunk, "@%s", name);
    source from = {code, chunk, lines_before, &functions[lua->scripts]};
    functions[lua->scripts][0] = functions[lua->scripts][1] = LUA_NOREF;
    lua->top_context = context;
    lua->current = NULL;
    start_budget(lua, lua->limits.instructions);
    int status = protect(lua, load_script, &from);
    lua->top_context = NULL;
    if (status != 0) return -1;
    return lua->scripts++;
}

int fl_lua_has(const fl_lua *lua, int script, int response) {
    return script >= 0 && script < lua->scripts && lua->functions[script][response] != LUA_NOREF;
}

// MARK: running

static int make_thread(lua_State *L) {
    fl_lua_call *call = lua_touserdata(L, 1);
    call->thread = lua_newthread(L);
    call->thread_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int drop_thread(lua_State *L) {
    fl_lua_call *call = lua_touserdata(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, call->thread_reference);
    return 0;
}

/// A slot with a coroutine at rest.
static fl_lua_call *take_call(fl_lua *lua) {
    fl_lua_call *call = lua->idle;
    if (call != NULL) {
        lua->idle = call->next_idle;
    } else {
        call = calloc(1, sizeof *call);
        if (call == NULL) {
            snprintf(lua->error, sizeof lua->error, "no memory");
            return NULL;
        }
        call->lua = lua;
        call->next = lua->all;
        lua->all = call;
    }
    if (call->thread == NULL && protect(lua, make_thread, call) != 0) {
        call->thread = NULL;
        call->next_idle = lua->idle;
        lua->idle = call;
        return NULL;
    }
    return call;
}

/// The run is over: its objects are dead, and its coroutine rests or goes.
static void give_back(fl_lua_call *call, bool at_rest) {
    fl_lua *lua = call->lua;
    call->serial++;
    call->context = NULL;
    call->data = NULL;
    if (at_rest) {
        lua_settop(call->thread, 0);
    } else {
        protect(lua, drop_thread, call);
        call->thread = NULL;
    }
    call->next_idle = lua->idle;
    lua->idle = call;
}

/// One piece of a run, up to its end or its next wait.
static int step(lua_State *L) {
    fl_lua_call *call = lua_touserdata(L, 1);
    lua_State *thread = call->thread;
    int count = 1;
    if (call->started) {
        count = fl_lua_push_result(L, call);
        lua_xmove(L, thread, count);
    } else {
        call->started = true;
        lua_rawgeti(L, LUA_REGISTRYINDEX, call->lua->functions[call->script][call->response]);
        fl_lua_push_object(L, call, "handle");
        lua_xmove(L, thread, 2);
    }
    call->waits = FL_LUA_DONE;
    int status = lua_resume(thread, count);
    if (status == 0) {
        call->outcome = FL_LUA_DONE;
    } else if (status == LUA_YIELD && call->waits != FL_LUA_DONE) {
        call->outcome = call->waits;
    } else if (status == LUA_YIELD) {
        return luaL_error(L, "script performed an unexpected yield");
    } else {
        note_error(call->lua, thread);
        lua_pushstring(L, call->lua->error);
        // As an error from here too: that is what makes LuaJIT forget that it was inside a hook.
        return lua_error(L);
    }
    return 0;
}

static int go(fl_lua_call *call, void *context) {
    fl_lua *lua = call->lua;
    call->context = context;
    lua->current = call;
    start_budget(lua, call->left);
    int status = protect(lua, step, call);
    lua->current = NULL;
    call->left = lua->left;
    if (status != 0) {
        give_back(call, false);
        return FL_LUA_FAILED;
    }
    if (call->outcome == FL_LUA_DONE) give_back(call, true);
    if (call->outcome == FL_LUA_RESPONDED) give_back(call, false);
    return call->outcome;
}

int fl_lua_run(fl_lua *lua, int script, int response, void *context, int *data, fl_lua_call **out) {
    *out = NULL;
    if (!fl_lua_has(lua, script, response)) return FL_LUA_DONE;
    fl_lua_call *call = take_call(lua);
    if (call == NULL) return FL_LUA_FAILED;
    call->script = script;
    call->response = response;
    call->data = data;
    call->left = lua->limits.instructions;
    call->calls = 0;
    call->started = call->continued = call->iterating = call->has_body = false;
    int outcome = go(call, context);
    if (outcome >= FL_LUA_WAITS_FOR_BODY) *out = call;
    return outcome;
}

int fl_lua_resume(fl_lua_call *call, void *context, int given) {
    call->given = given;
    bool is_body = call->waits == FL_LUA_WAITS_FOR_BODY;
    if (given && !(is_body && call->has_body)) call->piece++;
    if (is_body) call->has_body = true;
    return go(call, context);
}

void fl_lua_cancel(fl_lua_call *call) { give_back(call, false); }

typedef struct reference {
    int value;
} reference;

static int drop_reference(lua_State *L) {
    reference *which = lua_touserdata(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, which->value);
    return 0;
}

void fl_lua_forget(fl_lua *lua, int data) {
    reference which = {data};
    if (data > 0) protect(lua, drop_reference, &which);
}
