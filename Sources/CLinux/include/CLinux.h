// What Linux and the processor offer and Swift cannot import: epoll, accept4, ioctls, atomics on plain
// memory, and a vector scan. All static inline, so that Swift inlines them; prefixed fl_.
#ifndef FAIRLEAD_CLINUX_H
#define FAIRLEAD_CLINUX_H
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// MARK: epoll

static inline int fl_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

/// Adds `fd` edge-triggered or level-triggered by `events`; `data` comes back with each event.
static inline int fl_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
static inline int fl_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}
static inline int fl_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, 0); }

/// One event as epoll_wait(2) writes it. struct epoll_event is packed on x86-64, so Swift reads it here.
static inline uint32_t fl_event_bits(const struct epoll_event *event) { return event->events; }
static inline uint64_t fl_event_data(const struct epoll_event *event) { return event->data.u64; }

#define FL_EPOLL_CONNECTION (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

// MARK: sockets

/// Declared here because glibc shows it under _GNU_SOURCE only, which would clash with Swift's Glibc module.
extern int accept4(int, struct sockaddr *, socklen_t *, int);

static inline int fl_accept(int listener, struct sockaddr_storage *peer, socklen_t *length) {
    return accept4(listener, (struct sockaddr *)peer, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
static inline int fl_set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}
static inline int fl_socket_error(int fd) {
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length) != 0) return errno;
    return value;
}

// recv(3) and send(3) are points at which a thread can be cancelled, which costs more than the rest of the
// call on our side; nobody cancels our threads.
static inline ssize_t fl_receive(int fd, uint8_t *bytes, size_t count) {
    return syscall(SYS_recvfrom, fd, bytes, count, 0, NULL, NULL);
}
static inline ssize_t fl_send(int fd, const uint8_t *bytes, size_t count) {
    return syscall(SYS_sendto, fd, bytes, count, MSG_NOSIGNAL, NULL, 0);
}
/// sendmsg of two pieces; -1 with errno on failure.
static inline ssize_t fl_send2(int fd, const uint8_t *first, size_t first_count, const uint8_t *second,
                               size_t second_count) {
    struct iovec pieces[2] = {{(void *)first, first_count}, {(void *)second, second_count}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}
/// SOCK_STREAM, which Swift imports as an enum of another type than addrinfo's field.
static inline int fl_sock_stream(void) { return SOCK_STREAM; }
static inline int fl_shutdown_write(int fd) { return shutdown(fd, SHUT_WR); }
static inline int fl_linger_zero(int fd) {
    const struct linger option = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, sizeof option);
}

/// An address in numbers: IPv4 as IPv4-mapped IPv6, host byte order.
typedef struct {
    uint64_t high, low;
    uint16_t port;
    uint8_t is_ipv4;
} fl_address;

static inline void fl_address_read(const struct sockaddr_storage *storage, fl_address *out) {
    memset(out, 0, sizeof *out);
    if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)storage;
        out->low = 0xffff00000000ull | ntohl(in->sin_addr.s_addr);
        out->port = ntohs(in->sin_port);
        out->is_ipv4 = 1;
    } else if (storage->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)storage;
        for (int i = 0; i < 8; i++) {
            out->high = out->high << 8 | in6->sin6_addr.s6_addr[i];
            out->low = out->low << 8 | in6->sin6_addr.s6_addr[8 + i];
        }
        out->port = ntohs(in6->sin6_port);
        out->is_ipv4 = out->high == 0 && out->low >> 32 == 0xffff;
    } else {
        // The client's end of a Unix socket: unspecified.
        out->low = 0xffff00000000ull;
        out->is_ipv4 = 1;
    }
}
// Unix sockets are addresses too: numbers of paths, from 1, kept for the life of the process, with a mark
// that no other address has beside is_ipv4.
#define FL_UNIX_MARK UINT64_MAX
/// The number of a path of at most `fl_unix_path_bytes()` bytes; equal paths have the same. `@` at its start
/// stands for a NUL: a name without a file. -1: `most` others are known already, or it is too long.
int64_t fl_unix_number(const uint8_t *path, size_t count, uint32_t most);
/// A known number's path as it was given; returns its length, 0 for an unknown one.
size_t fl_unix_path(uint64_t number, const uint8_t **path);
size_t fl_unix_path_bytes(void);
static inline int fl_is_unix(const fl_address *address) {
    return address->is_ipv4 && address->high == FL_UNIX_MARK;
}
socklen_t fl_unix_write(uint64_t number, struct sockaddr_storage *storage);

static inline socklen_t fl_address_write(const fl_address *address, struct sockaddr_storage *storage) {
    memset(storage, 0, sizeof *storage);
    if (fl_is_unix(address)) return fl_unix_write(address->low, storage);
    if (address->is_ipv4) {
        struct sockaddr_in *in = (struct sockaddr_in *)storage;
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        in->sin_addr.s_addr = htonl((uint32_t)address->low);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(address->port);
    for (int i = 0; i < 8; i++) {
        in6->sin6_addr.s6_addr[i] = (uint8_t)(address->high >> (56 - 8 * i));
        in6->sin6_addr.s6_addr[8 + i] = (uint8_t)(address->low >> (56 - 8 * i));
    }
    return sizeof *in6;
}
/// Reads an IP address without brackets or port; 1 on success.
static inline int fl_address_parse(const uint8_t *text, size_t count, fl_address *out) {
    char copy[64];
    // inet_pton would stop at a NUL and believe what stands before it.
    if (count >= sizeof copy || memchr(text, 0, count)) return 0;
    memcpy(copy, text, count);
    copy[count] = 0;
    struct sockaddr_storage storage;
    memset(&storage, 0, sizeof storage);
    if (inet_pton(AF_INET, copy, &((struct sockaddr_in *)&storage)->sin_addr) == 1) {
        storage.ss_family = AF_INET;
    } else if (inet_pton(AF_INET6, copy, &((struct sockaddr_in6 *)&storage)->sin6_addr) == 1) {
        storage.ss_family = AF_INET6;
    } else {
        return 0;
    }
    fl_address_read(&storage, out);
    return 1;
}
/// The machine's name; returns its length.
static inline size_t fl_hostname(uint8_t *out, size_t capacity) {
    if (gethostname((char *)out, capacity - 1) != 0) return 0;
    out[capacity - 1] = 0;
    return strlen((char *)out);
}
static inline int fl_local_address(int fd, struct sockaddr_storage *storage) {
    socklen_t length = sizeof *storage;
    memset(storage, 0, sizeof *storage);
    return getsockname(fd, (struct sockaddr *)storage, &length);
}

// The next functions return a descriptor, or errno negated.

/// Whether nobody listens at an address: 0, or errno. Connections that linger on it do not count.
/// SO_REUSEPORT would let us in beside a listener of our own user, and share its connections with us.
static inline int fl_is_free(const fl_address *address) {
    struct sockaddr_storage storage;
    const socklen_t length = fl_address_write(address, &storage);
    const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const int code = bind(fd, (struct sockaddr *)&storage, length) != 0 ? errno : 0;
    close(fd);
    return code;
}
static inline int fl_listen(const fl_address *address, int backlog) {
    struct sockaddr_storage storage;
    const socklen_t length = fl_address_write(address, &storage);
    const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&storage, length) != 0 || listen(fd, backlog) != 0) {
        const int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}
static inline int fl_connect(const fl_address *address) {
    struct sockaddr_storage storage;
    const socklen_t length = fl_address_write(address, &storage);
    const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (connect(fd, (struct sockaddr *)&storage, length) != 0) {
        if (errno == EINPROGRESS) break;
        if (errno == EINTR) continue;
        const int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

// MARK: memory

/// Address space for `bytes`, zero-filled and without memory until touched; NULL when refused.
static inline void *fl_reserve(size_t bytes) {
    void *place = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return place == MAP_FAILED ? 0 : place;
}
static inline void fl_unreserve(void *place, size_t bytes) { munmap(place, bytes); }
/// Gives pages of the heap that hold nothing back to the system.
static inline void fl_trim_heap(void) { malloc_trim(0); }
/// Unmaps the pages of code and constants, the program's and its libraries'. What is used again comes back
/// from the page cache at its next use; what only starting used does not.
void fl_drop_code_pages(void);

// MARK: threads

static inline void fl_block_all_signals(void) {
    sigset_t all;
    sigfillset(&all);
    // A fault in our own code must still end the process.
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    sigdelset(&all, SIGTRAP);
    pthread_sigmask(SIG_SETMASK, &all, 0);
}
/// For work that can wait: the calling thread's share where processors are few is a tenth of a worker's.
static inline void fl_lower_thread_priority(void) {
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
}
static inline void fl_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

// MARK: time

/// CLOCK_MONOTONIC in nanoseconds.
static inline uint64_t fl_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
/// CLOCK_REALTIME in nanoseconds since 1970.
static inline uint64_t fl_realtime_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// MARK: plain memory shared with a reader on another thread (single writer)

static inline uint64_t fl_load_relaxed(const uint64_t *cell) {
    return __atomic_load_n(cell, __ATOMIC_RELAXED);
}
static inline void fl_store_relaxed(uint64_t *cell, uint64_t value) {
    __atomic_store_n(cell, value, __ATOMIC_RELAXED);
}
static inline uint64_t fl_load_acquire(const uint64_t *cell) {
    return __atomic_load_n(cell, __ATOMIC_ACQUIRE);
}
static inline void fl_store_release(uint64_t *cell, uint64_t value) {
    __atomic_store_n(cell, value, __ATOMIC_RELEASE);
}
/// Adds without a locked instruction: only the owner of the cell may call it.
static inline void fl_add_relaxed(uint64_t *cell, uint64_t amount) {
    __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}

static inline uint64_t fl_exchange(uint64_t *cell, uint64_t value) {
    return __atomic_exchange_n(cell, value, __ATOMIC_SEQ_CST);
}
/// What was stored before is visible before anything is loaded after.
static inline void fl_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// MARK: processors

/// Processors this process may run on (sched_getaffinity), at least 1.
int fl_cpus_allowed(void);
/// Pins the calling thread to the index-th processor it may run on; 0 on success.
int fl_pin_to_allowed_cpu(int index);

// MARK: processes

/// A pipe whose ends are closed on exec. 0 or -1 with errno.
int fl_pipe(int ends[2]);
/// Starts `arguments[0]` (a path) with the three standard streams given and every other descriptor that is
/// not closed on exec. When the calling *thread* ends the kernel sends the child `death_signal` (0: nothing),
/// so that no child outlives a parent that crashed: call it from a thread that lives as long as the process.
/// Returns the process id, or -errno.
int fl_spawn(char *const arguments[], char *const environment[], int input, int output, int error,
             int death_signal);

// MARK: splice

/// splice(2) of at most `count` bytes; one of both is a pipe. Never waits.
ssize_t fl_splice(int from, int to, size_t count);
/// Asks for room in a pipe; it stays as it is where that is refused.
void fl_pipe_size(int pipe, int bytes);

// MARK: scanning

typedef uint8_t fl_bytes16 __attribute__((vector_size(16)));
typedef int8_t fl_mask16 __attribute__((vector_size(16)));
typedef char fl_char16 __attribute__((vector_size(16)));

/// First byte in [from, end) that cannot stand in a field value: a control character other than tab, or DEL
/// (RFC 9110 5.5). `end` if there is none. Never reads at or past `end`.
static inline const uint8_t *fl_scan_field_value(const uint8_t *from, const uint8_t *end) {
#if defined(__SSE2__)
    // Vector extensions, not <emmintrin.h>: that header's module clashes with Swift's Glibc module.
    while (end - from >= 16) {
        fl_bytes16 bytes;
        memcpy(&bytes, from, 16);
        const fl_mask16 bad = ((bytes < 0x20) & (bytes != 9)) | (bytes == 0x7f);
        const int mask = __builtin_ia32_pmovmskb128((fl_char16)bad);
        if (mask != 0) return from + __builtin_ctz((unsigned)mask);
        from += 16;
    }
#endif
    while (from < end) {
        const uint8_t byte = *from;
        if ((byte < 0x20 && byte != 9) || byte == 0x7f) return from;
        from += 1;
    }
    return end;
}

/// RFC 9110 5.6.2 token characters: the lower-case form of each, 0 for all other bytes.
extern const uint8_t fl_token_lower[256];

static inline int fl_is_token(uint8_t byte) { return fl_token_lower[byte] != 0; }

/// Lower-cases a token in place from `from` on and returns the first byte that is no token character, or
/// `end`. Field names are short and simple, so sixteen bytes at a time nearly always do it in one step.
static inline uint8_t *fl_lower_token(uint8_t *from, uint8_t *end) {
#if defined(__SSE2__)
    if (end - from >= 16) {
        static const fl_bytes16 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        fl_bytes16 bytes;
        memcpy(&bytes, from, 16);
        // Letters, digits and the hyphen are most names; of these, setting bit 5 changes upper case only.
        const fl_bytes16 lowered = bytes | 0x20;
        const fl_mask16 simple =
            ((lowered - 'a') < 26) | ((bytes - '0') < 10) | (bytes == '-');
        const int others = ~__builtin_ia32_pmovmskb128((fl_char16)simple) & 0xffff;
        const int count = others == 0 ? 16 : __builtin_ctz((unsigned)others);
        const int upper = __builtin_ia32_pmovmskb128((fl_char16)((bytes & 0x20) == 0)) & ((1 << count) - 1);
        if (upper != 0) {
            const fl_mask16 ours = index < (uint8_t)count;
            const fl_bytes16 blended = ((fl_bytes16)ours & lowered) | (~(fl_bytes16)ours & bytes);
            memcpy(from, &blended, 16);
        }
        from += count;
        if (count < 16 && *from == ':') return from;
    }
#endif
    while (from < end) {
        const uint8_t lower = fl_token_lower[*from];
        if (lower == 0) return from;
        *from = lower;
        from += 1;
    }
    return end;
}

/// Two hexadecimal digits of each byte.
extern const uint16_t fl_hex_pairs[256];

/// Sixteen bytes as UUID text, 36 bytes without a terminator.
void fl_write_uuid(uint64_t high, uint64_t low, uint8_t *out);

static inline uint64_t fl_load64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, 8);
    return value;
}
static inline uint32_t fl_load32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, 4);
    return value;
}

static inline uint16_t fl_load16(const uint8_t *from) {
    uint16_t value;
    memcpy(&value, from, 2);
    return value;
}
static inline void fl_store16(uint8_t *to, uint16_t value) { memcpy(to, &value, 2); }

/// Copies bytes that do not overlap; for names and short values, where a call of memcpy costs more than the
/// bytes.
static inline void fl_copy_short(uint8_t *to, const uint8_t *from, size_t count) {
    if (count > 32) {
        memcpy(to, from, count);
    } else if (count >= 16) {
        memcpy(to, from, 16);
        memcpy(to + count - 16, from + count - 16, 16);
    } else if (count >= 8) {
        memcpy(to, from, 8);
        memcpy(to + count - 8, from + count - 8, 8);
    } else if (count >= 4) {
        memcpy(to, from, 4);
        memcpy(to + count - 4, from + count - 4, 4);
    } else {
        for (size_t at = 0; at < count; at++) to[at] = from[at];
    }
}

/// Whether `count` bytes are the same; for short names, where a call of memcmp costs more than the bytes.
static inline int fl_equal(const uint8_t *left, const uint8_t *right, size_t count) {
    if (count >= 8) {
        for (size_t at = 0; at + 8 < count; at += 8) {
            if (fl_load64(left + at) != fl_load64(right + at)) return 0;
        }
        return fl_load64(left + count - 8) == fl_load64(right + count - 8);
    }
    if (count >= 4) {
        return fl_load32(left) == fl_load32(right) &&
               fl_load32(left + count - 4) == fl_load32(right + count - 4);
    }
    for (size_t at = 0; at < count; at++) {
        if (left[at] != right[at]) return 0;
    }
    return 1;
}

/// The same for bytes of any number.
static inline int fl_same(const uint8_t *left, const uint8_t *right, size_t count) {
    return count <= 32 ? fl_equal(left, right, count) : memcmp(left, right, count) == 0;
}

/// Non-zero for the bytes of a name in an authority (RFC 3986 3.2.2): unreserved, sub-delims but the comma (a
/// list of hosts is no host), and percent signs.
extern const uint8_t fl_host_bytes[256];

/// The first byte from `from` on that cannot stand in the name of an authority, or `end`.
static inline const uint8_t *fl_skip_host(const uint8_t *from, const uint8_t *end) {
    while (from < end && fl_host_bytes[*from] != 0) from += 1;
    return from;
}

/// Random per process: set before main. In C because a Swift global would be a call at each use.
extern uint64_t fl_hash_seed;
/// What HTTP's HeaderNames has built once; in C for the same reason.
extern void *fl_header_names;

static inline void *fl_header_names_now(void) { return __atomic_load_n(&fl_header_names, __ATOMIC_ACQUIRE); }
static inline void fl_header_names_set(void *table) {
    __atomic_store_n(&fl_header_names, table, __ATOMIC_RELEASE);
}

// MARK: heads

#define FL_SHORT_SLOTS 512
#define FL_NAME_SLOTS 1024
#define FL_NAME_LONGEST 48

typedef struct {
    const uint8_t *bytes;
    size_t count;
} fl_name;

/// From lower-case field names to numbers; 0 is every other name. HTTP's HeaderNames fills it.
typedef struct {
    /// Names of at most 15 bytes have a slot of their own each: the multiplier is chosen so.
    uint64_t multiplier;
    /// Filled up with NUL; free slots with 0xff, which no name is made of.
    uint8_t short_names[FL_SHORT_SLOTS][16];
    /// Length and number, as the last bytes of `fl_field` have them.
    uint32_t short_tails[FL_SHORT_SLOTS];
    /// All names by open addressing: most look-ups of unknown ones end at a free slot.
    uint8_t slots[FL_NAME_SLOTS];
    fl_name names[256];
} fl_names;

/// The slot of a name of at most 15 bytes, given as two little-endian numbers.
static inline size_t fl_short_slot(uint64_t multiplier, uint64_t first, uint64_t second) {
    return (size_t)(((first ^ (second << 7 | second >> 57)) * multiplier) >> 55);
}
/// First, middle and last byte with the length tell apart nearly all real names. `count` is not 0.
static inline size_t fl_name_slot(const uint8_t *name, size_t count) {
    return (name[0] * 7u + name[count - 1] * 61u + name[count >> 1] * 251u + count * 1031u) % FL_NAME_SLOTS;
}
/// The number of a lower-case name of any length.
static inline uint8_t fl_name_id(const fl_names *names, const uint8_t *name, size_t count) {
    if (count == 0 || count > FL_NAME_LONGEST) return 0;
    for (size_t slot = fl_name_slot(name, count);; slot = (slot + 1) % FL_NAME_SLOTS) {
        const uint8_t id = names->slots[slot];
        if (id == 0) return 0;
        if (names->names[id].count == count && fl_equal(names->names[id].bytes, name, count)) return id;
    }
}

/// An empty table. The multiplier is set before the first short name is added.
void fl_names_clear(fl_names *names);
/// `name` must live as long as the table; `id` is not 0.
void fl_names_add(fl_names *names, uint8_t id, const uint8_t *name, size_t count);
void fl_names_add_short(fl_names *names, uint8_t id, uint8_t length, uint64_t first, uint64_t second);

/// One field line; HTTP's HeaderField says what is in it.
typedef struct {
    const uint8_t *line;
    uint32_t line_length, value_offset, value_length;
    uint16_t name_length;
    uint8_t id, dropped;
} fl_field;

/// What a list of lines knows without looking through it.
typedef struct {
    /// Bit n: a line with number n was there, dropped or not; and a second one.
    uint64_t present[2], repeated[2];
    /// Of the lines with number 0: bits of their names' lengths and first bytes, each modulo 64.
    uint64_t other_lengths, other_initials;
    /// By number, the position of the last such line; meaningless where it is not present.
    uint8_t *places;
} fl_line_marks;

static inline __attribute__((always_inline)) void fl_note_line(
    fl_line_marks *marks, const uint8_t *name, size_t count, uint8_t id, uint32_t position) {
    const uint64_t bit = 1ull << (id & 63);
    marks->repeated[id >> 6] |= marks->present[id >> 6] & bit;
    marks->present[id >> 6] |= bit;
    marks->places[id] = (uint8_t)position;
    if (id == 0) {
        marks->other_lengths |= 1ull << (count & 63);
        marks->other_initials |= 1ull << (name[0] & 63);
    }
}

/// Where reading a head's field lines stands.
typedef struct {
    /// The next line, and the end of what has come.
    uint8_t *at, *end;
    const fl_names *names;
    /// Room for `most` lines, and how many were read.
    fl_field *fields;
    uint32_t count, most;
    fl_line_marks *marks;
} fl_head_reader;

/// Why reading ended.
typedef int fl_head_state;
enum {
    FL_HEAD_MORE,
    /// The blank line was read.
    FL_HEAD_END,
    FL_HEAD_BARE_LINE_FEED,
    FL_HEAD_BAD_LINE,
    FL_HEAD_TOO_MANY,
    FL_HEAD_NAME_TOO_LONG,
};

/// Reads field lines up to and with the blank line (RFC 9112 5): lines end with CRLF only, names touch their
/// colon and are lower-cased in place, nothing is folded. A line that is not whole is read again next time.
fl_head_state fl_read_lines(fl_head_reader *reader);

/// Copies the lines that are not dropped, neighbours in one piece; returns the end of what was written.
uint8_t *fl_copy_lines(const fl_field *fields, uint32_t count, uint8_t *to);

/// What was seen on the way through a request target.
typedef struct {
    /// Where the first `?` and the first `#` are; UINT32_MAX: nowhere.
    uint32_t question, hash;
    /// The path has neither escapes nor backslashes, nor a dot or a slash behind a slash.
    uint8_t is_plain;
    uint8_t ends_with_slash;
} fl_target;

/// The length of a request target: up to the first blank, control character or DEL, or `end`.
uint32_t fl_read_target(const uint8_t *from, const uint8_t *end, fl_target *target);

/// Whether one of two bytes is among `count`.
int fl_holds_either(const uint8_t *bytes, size_t count, uint8_t one, uint8_t other);

/// The first place from `from` on where a key stands in a text, or `count`. The key is not empty.
size_t fl_find(const uint8_t *text, size_t count, const uint8_t *key, size_t key_count, size_t from);

/// A pair's value as it stands.
typedef struct {
    const uint8_t *value;
    size_t count;
} fl_pair;

typedef int fl_pair_search;
enum {
    FL_PAIR_NONE,
    FL_PAIR_FOUND,
    /// The key is there in a form that has to be looked at closely, or no key at all.
    FL_PAIR_UNSURE,
};

/// The first `key=value` of a list whose pieces have a separator and at most one blank before them.
fl_pair_search fl_find_pair(const uint8_t *text, size_t count, uint8_t separator, const uint8_t *key,
                            size_t key_count, fl_pair *found);

/// A parameter of a query.
typedef struct {
    /// As it was sent; empty where there is no `=`.
    const uint8_t *value;
    size_t count;
    /// The value holds a percent sign.
    int has_escape;
} fl_parameter;

typedef int fl_parameter_search;
enum {
    FL_PARAMETER_NONE,
    FL_PARAMETER_FOUND,
    /// Something before it has to be decoded to know.
    FL_PARAMETER_UNSURE,
};

/// The first parameter of this name in a query without its `?`. The key is not empty.
fl_parameter_search fl_find_parameter(const uint8_t *query, size_t count, const uint8_t *key,
                                      size_t key_count, fl_parameter *found);

/// Whether an authority is made of small letters, digits, dots and hyphens only: valid, without a port, and
/// in the form in which hosts are looked up. False says nothing.
int fl_is_plain_host(const uint8_t *host, size_t count);

/// A hash of bytes for tables whose keys come from configuration and whose probes come from peers; seeded by
/// `fl_hash_seed`, so that peers cannot aim at collisions.
static inline uint64_t fl_hash(const uint8_t *bytes, size_t count) {
    const uint64_t k = 0x9E3779B97F4A7C15ull;
    uint64_t hash = fl_hash_seed ^ (count * k);
    uint64_t tail = 0;
    if (count >= 8) {
#pragma clang loop unroll(disable)
        for (; count > 8; count -= 8, bytes += 8) {
            hash = (hash ^ fl_load64(bytes)) * k;
            hash ^= hash >> 32;
        }
        // The last bytes, without those that were taken in before.
        tail = fl_load64(bytes + count - 8) >> (64 - 8 * count);
    } else if (count >= 4) {
        tail = (uint64_t)fl_load32(bytes) << 32 | fl_load32(bytes + count - 4);
    } else if (count > 0) {
        tail = (uint64_t)bytes[0] << 16 | (uint64_t)bytes[count >> 1] << 8 | bytes[count - 1];
    }
    hash = (hash ^ tail) * k;
    hash ^= hash >> 29;
    hash *= 0xBF58476D1CE4E5B9ull;
    return hash ^ (hash >> 32);
}

#endif
