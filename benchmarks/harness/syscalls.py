"""System calls, counted by strace."""

_FAMILIES = {
    "recv": ("read", "readv", "recvfrom", "recvmsg", "recvmmsg"),
    "send": ("write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice"),
    "epoll_wait": ("epoll_wait", "epoll_pwait", "epoll_pwait2"),
    "epoll_ctl": ("epoll_ctl",),
}
_FAMILY_OF = {name: family for family, names in _FAMILIES.items() for name in names}


def wrap(strace, directory):
    """What goes before a command line so that its calls are counted into the folder."""
    return [strace, "-f", "-c", "-o", directory / "strace"]


def read(directory):
    """The counts of a process that has ended, by family; all calls of no family are `other`."""
    return parse((directory / "strace").read_text())


def parse(text):
    """Counts by family out of strace's summary."""
    counts = dict.fromkeys([*_FAMILIES, "other"], 0)
    rows = 0
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 5 or not fields[0][0].isdigit() or fields[-1] == "total":
            continue
        counts[_FAMILY_OF.get(fields[-1], "other")] += int(fields[3])
        rows += 1
    if not rows:
        raise ValueError("strace counted nothing")
    return counts
