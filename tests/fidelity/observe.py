import sys
before = list(globals().items()), list(sys.modules), [frame for frame in [sys._getframe()]]
classes = {base: base.__subclasses__() for base in (object, dict)}
import gc
collector = gc.get_threshold(), gc.isenabled(), gc.get_debug(), gc.get_freeze_count(), list(gc.callbacks), gc.garbage
# Writes all that a program can observe of itself, as JSON, to the file named by its last argument. It has no docstring,
# and imports nothing before it has noted what is loaded, so that it sees what a program finds. Any Python from 3.8.
import atexit
import builtins
import faulthandler
import io
import json
import locale
import os
import re
import resource
import select
import signal
import stat
import threading
import time
import tracemalloc
import warnings

seen = {}


def text_of(value):
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    text = re.sub("0x[0-9a-f]{6,16}", "0xADDRESS", value if isinstance(value, str) else repr(value))
    return text.encode("utf-8", "backslashreplace").decode()


def note(name, function, *arguments):
    try:
        value = function(*arguments)
    except Exception as error:
        value = "%s: %s" % (type(error).__name__, error)
    seen[name] = text_of(value)


def read(path):
    with open(path, "rb") as file:
        return file.read()


# Python

def stack():
    frame = before[2][0]
    found = []
    while frame is not None:
        code = frame.f_code
        found.append((code.co_filename, code.co_name, frame.f_lineno if frame is not before[2][0] else 0, code.co_flags))
        frame = frame.f_back
    return found


def describe_loader(loader):
    return type(loader) if not isinstance(loader, type) else loader, getattr(loader, "name", None), getattr(loader, "path", None)


def of_main():
    note("main.names", lambda: [name for name, value in before[0]])
    for name, value in before[0]:
        note("main." + name, describe_loader if name == "__loader__" else repr, value)
    note("main.module", lambda: (sys.modules["__main__"].__dict__ is globals(), type(sys.modules["__main__"]), __name__))
    note("main.code", lambda: [getattr(before[2][0].f_code, name) for name in ("co_filename", "co_firstlineno", "co_flags")])
    note("stack", stack)


# Not to be compared as a value: they have keys of their own below, or are functions.
OWN_KEYS = {"stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__", "modules", "path_importer_cache"}


def describe_stream(name):
    stream = getattr(sys, name)
    if stream is None:
        return None
    found = [type(stream), stream is getattr(sys, "__%s__" % name)]
    for layer in (stream, stream.buffer, getattr(stream.buffer, "raw", None)):
        for attribute in ("name", "mode", "encoding", "errors", "newlines", "line_buffering", "write_through", "closefd",
                          "_CHUNK_SIZE", "closed"):
            found.append(getattr(layer, attribute, "none"))
        if layer is not None:
            found += [type(layer), layer.isatty(), layer.readable(), layer.writable(), layer.seekable(), layer.fileno(),
                      sorted(getattr(layer, "__dict__", {}))]
    found.append(getattr(stream.buffer, "raw", None) is not None and os.get_blocking(stream.fileno()))
    return found


def of_sys():
    for name in dir(sys):
        value = getattr(sys, name)
        if name not in OWN_KEYS and not isinstance(value, type(sys.exit)) and not name.startswith("last_"):
            note("sys." + name, lambda: value)
    for name in ("stdin", "stdout", "stderr"):
        note("sys." + name, describe_stream, name)
    note("sys.names", lambda: sorted(dir(sys)))
    note("sys.modules", lambda: before[1])
    note("sys.path_importer_cache", lambda: [(path, type(importer)) for path, importer in sys.path_importer_cache.items()])
    for name in ("getrecursionlimit", "getswitchinterval", "getdlopenflags", "gettrace", "getprofile", "getdefaultencoding",
                 "getfilesystemencoding", "getfilesystemencodeerrors", "get_asyncgen_hooks", "getandroidapilevel",
                 "get_coroutine_origin_tracking_depth", "get_int_max_str_digits", "is_stack_trampoline_active",
                 "_is_gil_enabled", "exc_info", "is_finalizing"):
        if hasattr(sys, name):
            note("sys.%s()" % name, getattr(sys, name))
    note("sys.frames", lambda: len(sys._current_frames()))


def is_lost(found):
    """A class that was deleted, or that a decorator has made another of: it lives until the collector runs, and nobody can
    tell when."""
    made_by_statement = 1 << 9  # Py_TPFLAGS_HEAPTYPE
    if not found.__flags__ & made_by_statement or found.__module__ not in sys.modules or "<locals>" in found.__qualname__:
        return False
    now = sys.modules[found.__module__]
    for name in found.__qualname__.split("."):
        now = getattr(now, name, None)
    return now is not found


def names_of_classes(found):
    return [one.__module__ + "." + one.__qualname__ for one in found if not is_lost(one)]


def of_python():
    note("gc", lambda: collector)
    note("warnings", lambda: [(f[0], f[1] and getattr(f[1], "pattern", f[1]), f[2], f[3], f[4]) for f in warnings.filters])
    note("builtins", lambda: list(vars(builtins)))
    note("classes.object", lambda: names_of_classes(classes[object]))
    note("classes.dict", lambda: names_of_classes(classes[dict]))
    note("atexit", atexit._ncallbacks)
    note("faulthandler", faulthandler.is_enabled)
    note("tracemalloc", lambda: (tracemalloc.is_tracing(), tracemalloc.get_traceback_limit()))
    note("locale", lambda: (locale.setlocale(locale.LC_ALL, None), getattr(locale, "getencoding", lambda: "")(),
                            locale.nl_langinfo(locale.CODESET), locale.localeconv()))
    note("locale.getlocale", locale.getlocale)
    note("time", lambda: (time.tzname, time.timezone, time.daylight, time.altzone))
    if os.environ.get("PYTHONHASHSEED", "random") != "random" and not sys.flags.ignore_environment:
        note("hash", lambda: (hash("x"), hash(b"x"), hash(""), list({"a", "b", "c", "d"})))
    note("warns", lambda: getattr(sys.modules.get("__main__"), "__warningregistry__", "none"))
    try:
        import _testcapi as test
        if not hasattr(test, "pymem_getallocatorsname"):
            import _testinternalcapi as test
        note("allocator", test.pymem_getallocatorsname)
    except ImportError:
        pass


def of_threads():
    main = threading.main_thread()
    note("threads", lambda: [thread.name for thread in threading.enumerate()])
    note("threads.main", lambda: (threading.current_thread() is main, type(main), main.daemon, main.ident == threading.get_ident(),
                                  main.native_id == os.getpid() == threading.get_native_id(), threading.stack_size()))
    note("threads.native", lambda: len(os.listdir("/proc/self/task")))


def depth_of(function):
    # Of plain calls. What comes before this counts too, and so must be the same.
    try:
        return function(0)
    except RecursionError:
        return depths[-1]


depths = []


def dive(depth):
    depths[:] = [depth]
    return dive(depth + 1)


def nested(depth):
    value = []
    for unused in range(depth):
        value = [value]
    return value


def shows(depth):
    value = nested(depth)
    try:
        repr(value)
        return True
    except RecursionError:
        return False
    finally:
        while value:
            value = value.pop()


def nest():
    """How deep a list may be for repr(), which recurs in C; looked at to 2048."""
    low, high = 0, 1 << 11
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if shows(middle) else (low, middle)
    return low


def of_recursion():
    note("recursion", depth_of, dive)
    note("recursion.c", nest)


# The process

def describe_descriptor(number):
    link = os.readlink("/proc/self/fd/%d" % number)
    info = dict(line.split(":", 1) for line in read("/proc/self/fdinfo/%d" % number).decode().splitlines() if ":" in line)
    about = os.fstat(number)
    return (re.sub(r":\[\d+\]", "", link), info["flags"].strip(), info["pos"].strip(), stat.S_IFMT(about.st_mode),
            os.get_inheritable(number), os.isatty(number) and os.ttyname(number))


def is_open(number):
    try:
        os.fstat(number)
        return True
    except OSError:
        return False


def of_descriptors():
    listed = [int(name) for name in os.listdir("/proc/self/fd")]
    numbers = [number for number in sorted(listed) if is_open(number)]
    note("fds", lambda: numbers)
    for number in numbers:
        note("fd.%d" % number, describe_descriptor, number)
    note("fds.next", lambda: [os.dup(0 if 0 in numbers else number) for number in numbers[:1]])


def of_status():
    for line in read("/proc/self/status").decode().splitlines():
        name, value = line.split(":", 1)
        seen["status." + name] = value.strip()
    fields = read("/proc/self/stat").decode().rpartition(")")[2].split()
    names = ("state ppid pgrp session tty_nr tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime priority nice "
             "num_threads itrealvalue starttime vsize rss rsslim startcode endcode startstack kstkesp kstkeip signal blocked "
             "sigignore sigcatch wchan nswap cnswap exit_signal processor rt_priority policy delayacct guest cguest start_data "
             "end_data start_brk arg_start arg_end env_start env_end exit_code").split()
    for name, value in zip(names, fields):
        seen["stat." + name] = value


def of_proc():
    for name in ("cmdline", "environ", "comm", "cgroup", "oom_score_adj", "loginuid", "sessionid", "personality",
                 "coredump_filter", "timerslack_ns", "attr/current", "attr/exec", "setgroups", "uid_map", "gid_map", "mounts",
                 "autogroup", "limits"):
        note("proc." + name, lambda: read("/proc/self/" + name))
    for name in ("exe", "root", "cwd"):
        note("proc." + name, os.readlink, "/proc/self/" + name)
    for name in sorted(os.listdir("/proc/self/ns")):
        note("ns." + name, os.readlink, "/proc/self/ns/" + name)
    note("maps", lambda: sorted({line.split(None, 5)[5] for line in read("/proc/self/maps").decode().splitlines()
                                 if len(line.split(None, 5)) > 5}))


def of_kernel():
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    for name, option in (("pdeathsig", 2), ("dumpable", 3), ("keepcaps", 7), ("timing", 13), ("securebits", 27),
                         ("timerslack", 30), ("mce_kill", 34), ("subreaper", 37), ("no_new_privs", 39), ("thp_disable", 42),
                         ("io_flusher", 58)):
        value = ctypes.c_int(-1)
        takes_pointer = name in ("pdeathsig", "subreaper")
        result = libc.prctl(option, ctypes.byref(value) if takes_pointer else 0, 0, 0, 0)
        seen["prctl." + name] = value.value if takes_pointer else result
    machine = os.uname().machine
    numbers = {"x86_64": (252, 239, 250), "aarch64": (31, 236, 219)}.get(machine)
    if numbers:
        seen["ioprio"] = libc.syscall(numbers[0], 1, 0)
        mode = ctypes.c_int()
        nodes = (ctypes.c_ulong * 16)()
        libc.syscall(numbers[1], ctypes.byref(mode), nodes, 1024, None, 0)
        seen["mempolicy"] = text_of((mode.value, list(nodes)))
        seen["keyring"] = libc.syscall(numbers[2], 0, -3, 0)
    libc.getauxval.restype = ctypes.c_ulong
    seen["auxv"] = text_of((libc.getauxval(23), libc.getauxval(11), ctypes.string_at(libc.getauxval(31))))
    libc.getenv.restype = ctypes.c_char_p
    seen["getenv"] = text_of([libc.getenv(os.fsencode(name)) for name in sorted(os.environ)])
    table = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    entries = []
    while table[len(entries)] is not None:
        entries.append(table[len(entries)])
    seen["environ"] = text_of(entries)


def of_process():
    for name in sorted(name for name in dir(resource) if name.startswith("RLIMIT_")):
        note("limit." + name, resource.getrlimit, getattr(resource, name))
    note("umask", lambda: os.umask(os.umask(0o22)))
    note("signals", lambda: [(int(number), text_of(signal.getsignal(number))) for number in sorted(signal.valid_signals())])
    note("signals.blocked", lambda: sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))
    note("signals.pending", lambda: sorted(map(int, signal.sigpending())))
    note("signals.wakeup", signal.set_wakeup_fd, -1)
    note("timers", lambda: [signal.getitimer(kind) for kind in range(3)])
    note("ids", lambda: (os.getresuid(), os.getresgid(), os.getgroups()))
    note("session", os.getsid, 0)
    note("group", os.getpgrp)
    note("leads", lambda: (os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid()))
    note("terminal", lambda: (os.open("/dev/tty", os.O_RDWR), os.ctermid()))
    note("terminal.group", lambda: [os.tcgetpgrp(number) == os.getpgrp() for number in range(3) if os.isatty(number)])
    note("terminal.size", os.get_terminal_size, 0)
    note("affinity", lambda: sorted(os.sched_getaffinity(0)))
    note("scheduling", lambda: (os.nice(0), os.sched_getscheduler(0), os.sched_getparam(0)))
    note("children", lambda: os.times()[2:4])
    note("waits", os.waitpid, -1, os.WNOHANG)
    note("cwd", os.getcwd)
    note("argv", lambda: sys.argv)
    note("env", lambda: list(os.environ.items()))
    note("env.bytes", lambda: list(os.environb.items()))
    note("stdin.ready", lambda: bool(select.select([0], [], [], 0)[0]) if is_open(0) else "closed")


of_descriptors()
of_main()
of_sys()
of_python()
of_threads()
of_process()
of_status()
of_proc()
of_recursion()
of_kernel()
with io.open(sys.argv[-1] + "." + str(os.getpid()), "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
    json.dump(seen, out, indent=0)
os.rename(sys.argv[-1] + "." + str(os.getpid()), sys.argv[-1])
