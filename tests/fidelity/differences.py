"""What may differ between a program under python and under kiln: what no two runs of python share, and, of runs that an
image served, the known differences, each with its reason and the words in which deploy/doc/details.md tells of it."""
import collections
import fnmatch

# No two runs of python agree on these, or nobody can rely on them: ids, times, and what the kernel holds in memory.
VOLATILE = """
status.FDSize status.Pid status.Tgid status.PPid status.NSpid status.NStgid status.Ngid status.Vm* status.Rss* status.Hugetlb*
status.*ctxt_switches status.SigQ
stat.ppid stat.*flt stat.*time stat.vsize stat.rss stat.start* stat.kst* stat.wchan stat.processor stat.delayacct stat.*guest
stat.end* stat.arg* stat.env*
""".split()

# Nor do two runs in these situations, on these.
VOLATILE_THERE = {"timer/*": "timers", "session/*": "proc.autogroup", "keyring/*": "keyring", "unshared/*": "ns.pid_for_children", "other_network/*": "ns.net"}

Known = collections.namedtuple("Known", "keys situations words")

KNOWN = [
    # The image's library, and the shared memory by which a run tells its exit code and its imports.
    Known("maps", "*", "Kiln's library and its shared memory are in `/proc/PID/maps`"),
    # PF_FORKNOEXEC: it was forked, and has executed nothing since.
    Known("stat.flags", "*", "its kernel flags are those of a process that was forked"),
    Known("leads", "group/* terminal*", "a program that is a job of its own does not lead its group"),
]


def matches(key, patterns):
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns.split())


def is_known(key, name):
    return any(matches(key, known.keys) and matches(name, known.situations) for known in KNOWN)


def is_volatile(key, name):
    there = [keys for situations, keys in VOLATILE_THERE.items() if matches(name, situations)]
    return any(matches(key, keys) for keys in VOLATILE + there)


def shortened(one, other):
    """ONE from a little before the place where it is not like OTHER."""
    one, other = str(one), str(other)
    at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    return ("..." if at > 30 else "") + one[max(0, at - 30):at + 170]


def between(expected, seen, served, name):
    """Lines that say what differs and must not."""
    lines = []
    for key in sorted(set(expected) | set(seen)):
        one, other = expected.get(key, "(nothing)"), seen.get(key, "(nothing)")
        if one == other or is_volatile(key, name) or served and is_known(key, name):
            continue
        lines.append("%s: python %s | kiln %s" % (key, shortened(one, other), shortened(other, one)))
    return lines
