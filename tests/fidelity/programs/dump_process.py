"""What the kernel knows of the process: descriptors, signals, limits, session, names."""
import os
import resource
import signal
import stat
import sys
import threading


def describe(descriptor):
    link = os.readlink("/proc/self/fd/%d" % descriptor)
    if ":[" in link:
        link = link.split(":[")[0]
    with open("/proc/self/fdinfo/%d" % descriptor) as file:
        info = dict(line.split(":", 1) for line in file.read().splitlines())
    mode = stat.S_IFMT(os.fstat(descriptor).st_mode)
    return descriptor, link, info["flags"].strip(), info["pos"].strip(), mode, os.get_inheritable(descriptor)


with os.scandir("/proc/self/fd") as entries:
    numbers = sorted(int(entry.name) for entry in entries)
for number in numbers:
    try:
        print(describe(number))
    except OSError as error:
        print(number, error.strerror)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
for key in ("Name", "Umask", "State", "TracerPid", "Uid", "Gid", "Groups", "Threads", "SigPnd",
            "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
            "Seccomp", "Cpus_allowed_list"):
    if key not in ("SigQ"):
        print(key, status.get(key, "absent").strip())
print(open("/proc/self/comm").read().strip())
for number in sorted(signal.valid_signals()):
    print(int(number), signal.getsignal(number))
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getitimer(signal.ITIMER_REAL))
for name in sorted(dir(resource)):
    if name.startswith("RLIMIT_"):
        print(name, resource.getrlimit(getattr(resource, name)))
print(os.getsid(0) == int(os.environ.get("EXPECTED_SESSION", os.getsid(0))))
print(oct(os.umask(0)), os.nice(0), sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0))
print(open("/proc/self/oom_score_adj").read().strip())
try:
    print(os.getcwd() == os.environ.get("PWD", os.getcwd()), os.readlink("/proc/self/cwd"))
except FileNotFoundError as error:
    print(error)
print(os.readlink("/proc/self/exe"))
print(os.getresuid(), os.getresgid(), os.getgroups())
print([os.readlink("/proc/self/ns/" + name) == os.readlink("/proc/%d/ns/" % os.getsid(0) + name)
       for name in sorted(os.listdir("/proc/self/ns")) if "for_children" not in name])
print(open("/proc/self/cgroup").read() == open("/proc/%d/cgroup" % os.getsid(0)).read())
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError as error:
    print(error.strerror)
print(threading.active_count(), sys.stdin is None)
