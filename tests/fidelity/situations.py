"""The programs, and the situations that they are started in."""
import ctypes
import os
import resource
import shutil
import signal
import subprocess
import zipfile

LIBC = ctypes.CDLL(None)
OBSERVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "observe.py")

# What stands after python and its options. Arguments follow.
TARGETS = {
    "script": ["observe.py"],
    "absolute": ["{work}/observe.py"],
    "elsewhere": ["../work/./sub/../observe.py"],
    "link": ["link/observe.py"],
    "module": ["-m", "observe"],
    "package": ["-m", "package"],
    "submodule": ["-m", "package.observe"],
    "command": ["-c", open(OBSERVE).read()],
    "directory": ["directory"],
    "here": ["."],
    "zip": ["observe.zip"],
    "bytecode": ["observe.pyc"],
}


def make_programs(place):
    for directory in ("sub", "link", "package", "directory", "target"):
        os.makedirs(place.work + "/" + directory, exist_ok=True)
    for name in ("observe.py", "__main__.py", "package/__main__.py", "package/observe.py", "directory/__main__.py",
                 "target/observe.py"):
        shutil.copy(OBSERVE, place.work + "/" + name)
    open(place.work + "/package/__init__.py", "w").close()
    os.symlink("../target/observe.py", place.work + "/link/observe.py")
    with zipfile.ZipFile(place.work + "/observe.zip", "w") as archive:
        archive.write(OBSERVE, "__main__.py")
    compile_it = "import py_compile; py_compile.compile('observe.py', 'observe.pyc')"
    subprocess.run([place.python, "-c", compile_it], cwd=place.work, check=True)


class Situation:
    def __init__(self, name, options=(), env=(), set_up=None, served=True, python=None, terminal=False, all_targets=False,
                 without=(), only_env=None, may_be_denied=False):
        self.name, self.options, self.changes, self.function = name, list(options), list(env), set_up
        self.served, self.python, self.terminal, self.all_targets = served, python, terminal, all_targets
        self.without, self.only_env = without, only_env
        self.may_be_denied = may_be_denied
        self.terminal_fd = -1

    def environment(self, place):
        if self.only_env is not None:
            kept = {name: value for name, value in place.environment.items() if name.startswith("KILN_")}
            return dict(kept, **self.only_env)
        environment = dict(place.environment)
        for change in place.text(self.changes):
            name, equals, value = change.partition("=")
            environment.pop(name, None)
            if equals:
                environment[name] = value
        return environment

    def interpreter(self, place):
        return self.python(place) if self.python else place.python

    def set_up(self, place):
        if self.function:
            self.function()


def standard(*numbers):
    """Closes these of the standard streams."""
    return lambda: [os.close(number) for number in numbers]


def streams(path, flags, *numbers):
    def set_up():
        fd = os.open(path, flags | os.O_CREAT, 0o600)
        for number in numbers:
            os.dup2(fd, number)
    return set_up


def pipes():
    for number in range(3):
        ends = os.pipe()
        os.set_inheritable(ends[0], True)  # held, lest writing fails
        os.dup2(ends[0 if number == 0 else 1], number)


def descriptors():
    for number, path, flags in ((50, "/etc/passwd", os.O_RDONLY), (60, "/dev/zero", os.O_RDWR),
                                (70, "appended", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK),
                                (90, ".", os.O_RDONLY | os.O_DIRECTORY), (91, "/", os.O_PATH)):
        fd = os.open(path, flags, 0o600)
        os.dup2(fd, number)
    os.lseek(50, 7, os.SEEK_SET)


def ignore(*signals):
    return lambda: [signal.signal(number, signal.SIG_IGN) for number in signals]


def block(*signals):
    return lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signals)


def prctl(option, value):
    LIBC.prctl(option, value, 0, 0, 0)


def unshare(flags):
    if LIBC.unshare(flags) != 0:
        raise OSError("unshare")


def pending():
    block(10, 12)()
    os.kill(os.getpid(), 10)
    if os.fork() == 0:
        os.kill(os.getppid(), 12)
        os._exit(0)
    os.wait()


def soft_limits(**limits):
    def set_up():
        for name, value in limits.items():
            number = getattr(resource, "RLIMIT_" + name)
            resource.setrlimit(number, (value, resource.getrlimit(number)[1]))
    return set_up


def hard_limits(**limits):
    return lambda: [resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value)) for name, value in limits.items()]


def lost_directory():
    os.mkdir("lost")
    os.chdir("lost")
    os.rmdir("../lost")


def write(path, text):
    def set_up():
        with open(path, "w") as file:
            file.write(text)
    return set_up


def version_of(python):
    text = "import sys; print(*sys.version_info[:2]); print(sys.prefix)"
    lines = subprocess.run([python, "-c", text], stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return tuple(map(int, lines[0].split())), lines[1]


def virtual_environment(name, *options):
    def make(place):
        path = place.home + "/" + name
        if not os.path.exists(path):
            subprocess.run([place.python, "-m", "venv", "--without-pip", *options, path], check=True)
        return path + "/bin/python"
    return make


def with_pth(place):
    python = virtual_environment("venv-pth")(place)
    version, _ = version_of(place.python)
    directory = place.home + "/venv-pth/lib/python%d.%d/site-packages" % version
    if not os.path.exists(directory + "/extra.pth"):
        for name, text in (("extra.pth", "%s/extra\nimport added\n# a comment\nmissing\n" % place.home),
                           ("added.py", "import sys\nsys.added = 1\n")):
            write(directory + "/" + name, text)()
        os.makedirs(place.home + "/extra")
    return python


def linked(place):
    """A link to the interpreter, in a directory of its own."""
    path = place.home + "/linked"
    if not os.path.exists(path):
        os.mkdir(path)
        os.symlink(place.python, path + "/python")
    return path + "/python"


def relative(make):
    return lambda place: os.path.relpath(make(place), place.work)


def customized(place):
    """A directory for PYTHONPATH, and user site-packages, with start-up code."""
    version, _ = version_of(place.python)
    site = place.home + "/user/.local/lib/python%d.%d/site-packages" % version
    for path, text in ((place.work + "/lib/sitecustomize.py", "import sys\nsys.customized = sys.flags.optimize\n"),
                       (place.work + "/lib/helper.py", ""),
                       (site + "/usercustomize.py", "import sys, string\nsys.user = 1\n"),
                       (site + "/user.pth", "/nowhere\n")):
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write(path, text)()


def table(place):
    S = Situation
    version, prefix = version_of(place.python)
    customized(place)
    rows = [
        S("plain", all_targets=True),
        S("stdin_closed", set_up=standard(0)),
        S("stdout_closed", set_up=standard(1)),
        S("stderr_closed", set_up=standard(2)),
        S("all_closed", set_up=standard(0, 1, 2)),
        S("null", set_up=streams("/dev/null", os.O_RDWR, 0, 1, 2)),
        S("files", set_up=streams("file", os.O_RDWR | os.O_TRUNC, 0, 1, 2)),
        S("appended", set_up=streams("file", os.O_WRONLY | os.O_APPEND, 1, 2)),
        S("full", set_up=streams("/dev/full", os.O_RDWR, 1, 2)),
        S("pipes", set_up=pipes),
        S("nonblocking", set_up=lambda: (pipes(), os.set_blocking(0, False), os.set_blocking(1, False))),
        S("wrong_way", set_up=lambda: (streams("file", os.O_WRONLY, 0)(), streams("/etc/passwd", os.O_RDONLY, 1, 2)())),
        S("terminal", terminal=True, all_targets=True),
        S("terminal_unbuffered", terminal=True, options=["-u"]),
        S("terminal_latin", terminal=True, env=["PYTHONIOENCODING=latin-1"]),
        S("descriptors", set_up=descriptors),
        S("ignored_signals", set_up=ignore(1, 2, 3, 10, 13, 15, 20, 21, 22, 25, 40)),
        S("ignored_child", set_up=ignore(signal.SIGCHLD)),
        S("blocked_signals", set_up=block(1, 2, 10, 12, 14, 15, 17, 18, 28, 40)),
        S("pending_signals", set_up=pending),
        S("soft_limits", set_up=soft_limits(NOFILE=100, FSIZE=1 << 24, CPU=1000, CORE=0, MEMLOCK=0, SIGPENDING=100)),
        S("hard_limits", set_up=hard_limits(NOFILE=200, CPU=1000)),
        S("stack_limit", set_up=soft_limits(STACK=16 << 20)),
        S("small_stack", set_up=soft_limits(STACK=4 << 20)),
        S("endless_stack", set_up=soft_limits(STACK=resource.RLIM_INFINITY)),
        S("address_space", set_up=soft_limits(AS=4 << 30), served=False),
        S("nice", set_up=lambda: os.nice(5)),
        S("batch", set_up=lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))),
        S("affinity", set_up=lambda: os.sched_setaffinity(0, {0})),
        S("umask", set_up=lambda: os.umask(0o077)),
        S("oom_score", set_up=write("/proc/self/oom_score_adj", "300")),
        S("coredump_filter", set_up=write("/proc/self/coredump_filter", "0x3f")),
        S("timer_slack", set_up=write("/proc/self/timerslack_ns", "123456")),
        S("group", set_up=lambda: os.setpgid(0, 0)),
        S("session", set_up=os.setsid, served=False),
        S("no_new_privileges", set_up=lambda: prctl(38, 1), served=False),
        S("unshared", set_up=lambda: unshare(0x20000000), served=False, may_be_denied=True),  # CLONE_NEWPID
        S("other_network", set_up=lambda: unshare(0x40000000), served=False, may_be_denied=True),
        S("personality", set_up=lambda: LIBC.personality(0x0040000)),  # ADDR_NO_RANDOMIZE
        S("fewer_capabilities", set_up=lambda: prctl(24, 21)),  # PR_CAPBSET_DROP of CAP_SYS_ADMIN
        S("other_groups", set_up=lambda: os.setgroups([4, 24]), may_be_denied=True),
        S("keyring", set_up=lambda: LIBC.syscall(250, 1, None), served=False),  # a session keyring of its own, each time
        S("io_priority", set_up=lambda: LIBC.syscall(251, 1, 0, 3 << 13)),  # idle
        S("memory_policy", set_up=lambda: LIBC.syscall(238, 3, ctypes.byref(ctypes.c_ulong(1)), 64)),  # interleave
        S("no_huge_pages", set_up=lambda: prctl(41, 1)),
        S("reset_on_fork", set_up=lambda: os.sched_setscheduler(0, os.SCHED_BATCH | 0x40000000, os.sched_param(0)), served=False),
        S("timer", set_up=lambda: signal.setitimer(signal.ITIMER_PROF, 1000), served=False),
        S("subdirectory", set_up=lambda: os.chdir("sub"), without=list(set(TARGETS) - {"absolute", "command"})),
        S("lost_directory", set_up=lost_directory, without=list(set(TARGETS) - {"absolute", "command"})),
        S("optimized", options=["-O"], all_targets=True),
        S("optimized_twice", options=["-OO"]),
        S("no_bytecode", options=["-B"]),
        S("unbuffered", options=["-u"]),
        S("isolated", options=["-I"], without=["module", "package", "submodule"], all_targets=True),
        S("ignoring", options=["-E"], env=["PYTHONPATH=/nowhere"]),
        S("no_user_site", options=["-s"]),
        S("no_site", options=["-S"], all_targets=True),
        S("bytes", options=["-bb"]),
        S("quiet", options=["-q"]),
        S("random", options=["-R"], served=False),
        S("utf8", options=["-X", "utf8"]),
        S("not_utf8", options=["-X", "utf8=0"], env=["LC_ALL=C"]),
        S("faulthandler", options=["-X", "faulthandler"], served=False),
        S("tracemalloc", options=["-X", "tracemalloc"], served=False),
        S("importtime", options=["-X", "importtime"], set_up=streams("/dev/null", os.O_RDWR, 2), served=False),
        S("dev", options=["-X", "dev"], served=False),
        S("cache_prefix", options=["-X", "pycache_prefix=/tmp/nowhere"]),
        S("warnings", options=["-Wignore", "-W", "error::DeprecationWarning", "-Wdefault"]),
        S("hash_seed", env=["PYTHONHASHSEED=42"]),
        S("hash_seed_0", env=["PYTHONHASHSEED=0"]),
        S("path", env=["PYTHONPATH={work}/lib:/nowhere::relative"]),
        S("customized", env=["PYTHONPATH={work}/lib"], all_targets=True),
        S("unbuffered_variable", env=["PYTHONUNBUFFERED=1"]),
        S("no_bytecode_variable", env=["PYTHONDONTWRITEBYTECODE=1"]),
        S("optimize_variable", env=["PYTHONOPTIMIZE=2"]),
        S("warnings_variable", env=["PYTHONWARNINGS=error,ignore::UserWarning"]),
        S("encoding_variable", env=["PYTHONIOENCODING=:surrogateescape"]),
        S("encoding_latin", env=["PYTHONIOENCODING=latin-1:replace"]),
        S("utf8_variable", env=["PYTHONUTF8=1"]),
        S("malloc_variable", env=["PYTHONMALLOC=malloc"]),
        S("malloc_debug", env=["PYTHONMALLOC=debug"], served=False),
        S("no_user_site_variable", env=["PYTHONNOUSERSITE=1"]),
        S("breakpoint_variable", env=["PYTHONBREAKPOINT=pprint.pprint"]),
        S("no_coercion", env=["LANG", "PYTHONCOERCECLOCALE=0"]),
        S("c_locale", env=["LANG", "LC_ALL=C"]),
        S("posix_locale", env=["LANG", "LC_CTYPE=POSIX"]),
        S("utf8_locale", env=["LC_ALL=C.UTF-8"]),
        S("missing_locale", env=["LC_ALL=xx_YY.UTF-8"]),
        S("no_locale", env=["LANG"]),
        S("empty_environment", only_env={}),
        S("odd_environment", env=["A=", "B=b=b", "C D=e", "\udcff=\udcfe"]),
        S("time_zone", env=["TZ=Asia/Kolkata"]),
        S("no_home", env=["HOME"]),
        S("user_site", env=["PYTHONUSERBASE=" + place.home + "/user/.local"]),
        S("prefix_variable", env=["PYTHONHOME=" + prefix]),
        S("venv", python=virtual_environment("venv"), all_targets=True),
        S("venv_copied", python=virtual_environment("venv-copies", "--copies")),
        S("venv_system_site", python=virtual_environment("venv-system", "--system-site-packages")),
        S("venv_pth", python=with_pth),
        S("linked", python=linked),
        S("relative_interpreter", python=relative(linked)),
        S("relative_venv", python=relative(virtual_environment("venv"))),
    ]
    if version >= (3, 10):
        rows += [S("int_digits", options=["-X", "int_max_str_digits=5000"]),
                 S("warn_encoding", options=["-X", "warn_default_encoding"])]
    if version >= (3, 11):
        rows += [S("safe_path", options=["-P"], without=["module", "package", "submodule"], all_targets=True), S("safe_path_variable", env=["PYTHONSAFEPATH=1"]),
                 S("no_ranges", options=["-X", "no_debug_ranges"]), S("not_frozen", options=["-X", "frozen_modules=off"])]
    return rows
