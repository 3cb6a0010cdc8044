// LuaJIT for EnvoyFilter scripts, behind an interface without a Lua stack: everything that can raise a Lua
// error happens inside the shim under a protected call, so that no error ever unwinds a Swift frame. What a
// script asks of its message comes back as plain calls of `fl_lua_host`, which never touch Lua.
//
// The just-in-time compiler is off: compiled loops look at no hook, so an endless one could only be ended by
// killing the thread. Interpreted code is counted, and the clock is looked at every few hundred instructions
// for what the count does not see (one instruction may copy megabytes).
#ifndef FAIRLEAD_CLUAJIT_H
#define FAIRLEAD_CLUAJIT_H
#include <stddef.h>
#include <stdint.h>

/// One interpreter with all scripts of a configuration. Belongs to one thread at a time.
typedef struct fl_lua fl_lua;
/// One function of one script at work on one message; reused after it has ended.
typedef struct fl_lua_call fl_lua_call;

typedef struct fl_lua_text {
    const uint8_t *start;
    size_t count;
} fl_lua_text;

typedef struct fl_lua_limits {
    /// Bytes of everything the interpreter holds.
    size_t memory;
    /// Instructions of one function run, waits included.
    uint64_t instructions;
    /// Time of one piece of a run, between two waits.
    uint64_t milliseconds;
    /// Steps of one pattern match.
    uint64_t pattern_steps;
    /// Bytes of the thread's C stack that a script may have under it.
    size_t stack;
    /// `httpCall`s of one run.
    unsigned calls;
} fl_lua_limits;

/// An `httpCall`; its fields and body were put before.
typedef struct fl_lua_http_call {
    fl_lua_text cluster;
    /// 0: none of its own.
    uint64_t timeout_ms;
    /// Nobody waits for the answer.
    int asynchronous;
    /// The client's address goes along.
    int sends_forwarded_for;
} fl_lua_http_call;

/// Edits of a header object.
enum { FL_LUA_ADD, FL_LUA_REPLACE, FL_LUA_REMOVE, FL_LUA_REASON };
/// What an edit came to.
enum { FL_LUA_EDITED, FL_LUA_LATE, FL_LUA_BAD_NAME, FL_LUA_BAD_VALUE, FL_LUA_NO_ROOM };
/// What a call came to: it will be made, there is no such cluster, a field cannot be sent, it is too long.
enum { FL_LUA_CALLED, FL_LUA_NO_CLUSTER, FL_LUA_BAD_CALL, FL_LUA_LONG_CALL };
/// What a verification came to.
enum { FL_LUA_VERIFIED, FL_LUA_FALSE_SIGNATURE, FL_LUA_UNKNOWN_HASH, FL_LUA_UNFIT_KEY };
/// Levels of `log`.
enum { FL_LUA_TRACE, FL_LUA_DEBUG, FL_LUA_INFO, FL_LUA_WARN, FL_LUA_ERR, FL_LUA_CRITICAL };
/// What `fact` is asked for.
enum {
    FL_LUA_PROTOCOL,
    FL_LUA_ROUTE_NAME,
    FL_LUA_LOCAL_ADDRESS,
    FL_LUA_DIRECT_REMOTE_ADDRESS,
    FL_LUA_REMOTE_ADDRESS,
    FL_LUA_SERVER_NAME,
    /// Empty: the client's connection is not encrypted.
    FL_LUA_TLS_VERSION,
    FL_LUA_TLS_CIPHER,
    /// Of the client's certificate: SHA-256 in hex (empty: it showed none), subject, first URI and DNS name.
    FL_LUA_PEER_DIGEST,
    FL_LUA_PEER_SUBJECT,
    FL_LUA_PEER_URI,
    FL_LUA_PEER_DNS,
};

/// What a script can reach of its message. Texts that are handed out hold until the message is edited.
typedef struct fl_lua_host {
    /// The value of the `index`-th line of a name (lower case); 0: there is none.
    int (*header)(void *context, fl_lua_text name, size_t index, fl_lua_text *value);
    /// The line at `*cursor` or the next; moves the cursor behind it. 0: no more.
    int (*next_header)(void *context, size_t *cursor, fl_lua_text *name, fl_lua_text *value);
    int (*edit)(void *context, int operation, fl_lua_text name, fl_lua_text value);
    /// `respond` and `httpCall`: an answer or call begins to be put together; a field of it, and its body.
    void (*begin_message)(void *context);
    void (*put_header)(void *context, fl_lua_text name, fl_lua_text value);
    void (*put_body)(void *context, fl_lua_text body);
    /// The message's body is there as a whole; `set_body` replaces it.
    fl_lua_text (*body)(void *context);
    int (*set_body)(void *context, fl_lua_text body);
    /// What was put is a call.
    int (*make_call)(void *context, const fl_lua_http_call *call);
    /// 1: it is a public key (DER, SubjectPublicKeyInfo).
    int (*is_key)(fl_lua_text key);
    int (*verify)(fl_lua_text hash, fl_lua_text key, fl_lua_text signature, fl_lua_text data);
    void (*log)(void *context, int level, fl_lua_text message);
    /// 0: not known.
    int (*fact)(void *context, int which, fl_lua_text *value);
    void (*clear_route)(void *context);
    /// The fields of the answer to an `httpCall`, as `next_header`.
    int (*next_answer)(void *context, size_t *cursor, fl_lua_text *name, fl_lua_text *value);
    fl_lua_text (*answer_body)(void *context);
} fl_lua_host;

/// What a run came to.
enum {
    /// The function returned; the message goes on.
    FL_LUA_DONE,
    /// It failed (`fl_lua_error`); the message goes on as it is.
    FL_LUA_FAILED,
    /// It answers itself: what it put is the answer.
    FL_LUA_RESPONDED,
    /// It waits for the whole body, for the next piece of it, or for the answer of a call.
    FL_LUA_WAITS_FOR_BODY,
    FL_LUA_WAITS_FOR_CHUNK,
    FL_LUA_WAITS_FOR_CALL,
};

/// NULL: no memory.
fl_lua *fl_lua_new(const fl_lua_limits *limits, const fl_lua_host *host);
void fl_lua_free(fl_lua *lua);
size_t fl_lua_memory(const fl_lua *lua);
/// The last error, NUL-terminated; holds until the next call.
const char *fl_lua_error(const fl_lua *lua);

/// Compiles a script and runs its top level. Messages say `FILE:LINE` when `name` is the file's and the code
/// stands `lines_before` lines below its start. Returns its number, or -1 with `fl_lua_error`. `context`
/// takes what the top level logs.
int fl_lua_load(fl_lua *lua, fl_lua_text code, const char *name, unsigned lines_before, void *context);
/// Whether a script has `envoy_on_request` (0) or `envoy_on_response` (1).
int fl_lua_has(const fl_lua *lua, int script, int response);

/// Starts a function. `data` is the exchange's own number for what scripts keep of it, 0 at first; it must
/// stay where it is until the run ends. `*call` is set where the run waits: then `fl_lua_resume` goes on, or
/// `fl_lua_cancel` ends it.
int fl_lua_run(fl_lua *lua, int script, int response, void *context, int *data, fl_lua_call **call);
/// Goes on with what it waited for. A body or a chunk: `given` says whether there is one, and the host's
/// `body` is it; the answer of a call: `answer_body` and `next_answer`, `given` 0 where nobody had to be
/// waited for. What was waited for ends the script's objects but for its handle, as in Envoy.
int fl_lua_resume(fl_lua_call *call, void *context, int given);
/// Ends a run that waits.
void fl_lua_cancel(fl_lua_call *call);
/// The exchange is over: what its scripts kept goes.
void fl_lua_forget(fl_lua *lua, int data);
#endif
