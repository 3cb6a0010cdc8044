// Starting a process whose life is tied to ours. In C because fork cannot be called from Swift, and only
// between fork and exec can a child ask for the parent-death signal.
#define _GNU_SOURCE
#include <sys/wait.h>
#include <unistd.h>

#include "CLinux.h"

int fl_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

/// What runs in the child between fork and exec: async-signal-safe calls only, since other threads of the
/// parent may have held any lock. Returns only on failure.
static void exec_child(char *const arguments[], char *const environment[], const int streams[3],
                       int death_signal, pid_t parent) {
    if (death_signal != 0) {
        if (prctl(PR_SET_PDEATHSIG, death_signal) != 0) return;
        // The parent may have gone before prctl.
        if (getppid() != parent) _exit(127);
    }
    // A stream that is itself 0, 1 or 2 must not be overwritten before its turn: move all out of the way.
    int moved[3];
    for (int i = 0; i < 3; i++) {
        moved[i] = fcntl(streams[i], F_DUPFD_CLOEXEC, 3);
        if (moved[i] < 0) return;
    }
    for (int i = 0; i < 3; i++)
        if (dup2(moved[i], i) < 0) return;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execve(arguments[0], arguments, environment);
}

int fl_spawn(char *const arguments[], char *const environment[], int input, int output, int error,
             int death_signal) {
    const int streams[3] = {input, output, error};
    const pid_t parent = getpid();
    // Closed by a successful exec; otherwise the child writes its errno here.
    int report[2];
    if (fl_pipe(report) != 0) return -errno;
    const pid_t child = fork();
    if (child == 0) {
        exec_child(arguments, environment, streams, death_signal, parent);
        const int failure = errno;
        if (write(report[1], &failure, sizeof failure) < 0) _exit(126);
        _exit(127);
    }
    const int fork_error = errno;
    close(report[1]);
    int failure = 0;
    ssize_t count = 0;
    if (child > 0)
        do count = read(report[0], &failure, sizeof failure);
        while (count < 0 && errno == EINTR);
    close(report[0]);
    if (child < 0) return -fork_error;
    if (count > 0) {
        int status;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        return -failure;
    }
    return child;
}
