// Paths of Unix sockets by number, so that an address stays a few numbers wherever it goes. The control
// thread adds, workers read: entries are written once and never freed.
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/un.h>

#include "CLinux.h"

typedef struct {
    size_t count;
    uint8_t bytes[sizeof(((struct sockaddr_un *)0)->sun_path)];
} fl_unix_entry;

// Room for `Limits.unixPaths`, which is the bound that callers give.
enum { unix_entries_most = 4096 };
static fl_unix_entry *_Atomic entries[unix_entries_most];
static uint32_t known;
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;

size_t fl_unix_path_bytes(void) { return sizeof(((struct sockaddr_un *)0)->sun_path) - 1; }

static int64_t find_or_add(const uint8_t *path, size_t count, uint32_t most) {
    for (uint32_t index = 0; index < known; index++) {
        const fl_unix_entry *entry = atomic_load_explicit(&entries[index], memory_order_relaxed);
        if (entry->count == count && memcmp(entry->bytes, path, count) == 0) return index + 1;
    }
    if (known >= most || known >= unix_entries_most) return -1;
    fl_unix_entry *entry = calloc(1, sizeof *entry);
    if (!entry) return -1;
    entry->count = count;
    memcpy(entry->bytes, path, count);
    atomic_store_explicit(&entries[known], entry, memory_order_release);
    return ++known;
}

int64_t fl_unix_number(const uint8_t *path, size_t count, uint32_t most) {
    if (count == 0 || count > fl_unix_path_bytes() || memchr(path, 0, count)) return -1;
    pthread_mutex_lock(&adding);
    const int64_t number = find_or_add(path, count, most);
    pthread_mutex_unlock(&adding);
    return number;
}

size_t fl_unix_path(uint64_t number, const uint8_t **path) {
    if (number == 0 || number > unix_entries_most) return 0;
    const fl_unix_entry *entry = atomic_load_explicit(&entries[number - 1], memory_order_acquire);
    if (!entry) return 0;
    *path = entry->bytes;
    return entry->count;
}

socklen_t fl_unix_write(uint64_t number, struct sockaddr_storage *storage) {
    struct sockaddr_un *un = (struct sockaddr_un *)storage;
    un->sun_family = AF_UNIX;
    const uint8_t *path = 0;
    const size_t count = fl_unix_path(number, &path);
    if (count) memcpy(un->sun_path, path, count);
    const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count);
    if (count == 0 || un->sun_path[0] != '@') return length + 1;
    // A name of no file has no NUL at its end either.
    un->sun_path[0] = 0;
    return length;
}
