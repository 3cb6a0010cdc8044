"""Instructions, allocations and reference counting, counted by Valgrind's callgrind."""

import re

_FAMILIES = {
    "malloc": ("malloc", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign"),
    "free": ("free",),
    "retain": ("swift_retain", "swift_retain_n", "swift_nonatomic_retain", "swift_bridgeObjectRetain",
               "swift_bridgeObjectRetain_n", "swift_unknownObjectRetain", "swift_unownedRetain",
               "swift_unownedRetainStrong", "swift_weakLoadStrong", "swift_tryRetain"),
    "release": ("swift_release", "swift_release_n", "swift_nonatomic_release", "swift_bridgeObjectRelease",
                "swift_bridgeObjectRelease_n", "swift_unknownObjectRelease", "swift_unownedRelease"),
}
_FAMILY_OF = {name: family for family, names in _FAMILIES.items() for name in names}
_WITHIN = {**_FAMILY_OF, "_mid_memalign": "malloc"}
_NAMED = re.compile(r"(c?fn)=\((\d+)\)(?: (.*))?")
_VARIANT = re.compile(r"'\d+$|\.(?:constprop|isra|part|cold)\b.*$")


def wrap(valgrind, directory):
    """What goes before a command line so that it is counted into the folder, its children too."""
    return [valgrind, "--tool=callgrind", "--quiet", "--trace-children=yes",
            f"--callgrind-out-file={directory}/callgrind.%p"]


def read(directory):
    """The counts of a process tree that has ended: `instructions`, and calls by family."""
    texts = [path.read_text(errors="replace") for path in sorted(directory.glob("callgrind.*"))]
    if not texts:
        raise ValueError("callgrind counted nothing: the process did not end by itself")
    counts = [parse(text) for text in texts]
    return {key: sum(count[key] for count in counts) for key in counts[0]}


def parse(text):
    """Counts out of one of callgrind's files; a call within a family, as from calloc to malloc, is not another one."""
    counts = dict.fromkeys(["instructions", *_FAMILIES], 0)
    names, current = {}, {"fn": "", "cfn": ""}
    for line in text.splitlines():
        if line.startswith("calls="):
            family = _FAMILY_OF.get(current["cfn"])
            if family and _WITHIN.get(current["fn"]) != family:
                counts[family] += int(line[6:].split()[0])
        elif found := _NAMED.match(line):
            role, number, name = found.groups()
            if name:
                names[number] = _VARIANT.sub("", name)
            current[role] = names.get(number, "")
        elif line.startswith(("totals:", "summary:")):
            counts["instructions"] = max(counts["instructions"], int(line.split()[1]))
    return counts
