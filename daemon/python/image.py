# Run by an interpreter that is about to become an image (daemon/image/preload.cc), in a namespace of its own: does the
# rest of the start-up, import site, under observation, and tells what it depended on. It imports nothing that a plain
# interpreter has not loaded at this point. It compiles on any Python 3, to refuse the versions that are not served.

import sys

SERVED = ((3, 8), (3, 13))


class RecordedEnvironment(dict):
    # Stands in for posix.environ, the dict behind os.environ, while start-up code runs: notes each variable that is
    # looked at, found or not. Who looks at all of them, or reads them from C, has read the whole environment.

    __slots__ = ("names", "whole")

    def note(self, name):
        if isinstance(name, bytes):
            self.names.add(name)

    def __getitem__(self, name):
        self.note(name)
        return dict.__getitem__(self, name)

    def __delitem__(self, name):
        self.note(name)
        dict.__delitem__(self, name)

    def __len__(self):
        self.whole = True
        return dict.__len__(self)

    def __eq__(self, other):
        self.whole = True
        return dict.__eq__(self, other)

    __hash__ = None

    def __contains__(self, name):
        self.note(name)
        return dict.__contains__(self, name)

    def get(self, name, default=None):
        self.note(name)
        return dict.get(self, name, default)

    def __iter__(self):
        self.whole = True
        return dict.__iter__(self)

    def keys(self):
        self.whole = True
        return dict.keys(self)

    def items(self):
        self.whole = True
        return dict.items(self)

    def values(self):
        self.whole = True
        return dict.values(self)

    def copy(self):
        self.whole = True
        return dict.copy(self)


def run_site(posix):
    """Imports site as the interpreter itself would have; returns the recorded environment."""
    before = posix.environ
    asked = []
    restore = replace_asked(asked)
    recorded = RecordedEnvironment(before)
    recorded.names = set()
    recorded.whole = False
    posix.environ = recorded
    __import__("site")
    before.clear()
    before.update(dict.items(recorded))
    posix.environ = before
    os = sys.modules["os"]
    os.environ._data = before
    os.environb._data = before
    restore()
    return recorded, asked


# Functions whose answer, or effect, belongs to one process, or one moment.
ASKED = (("posix", "getpid"), ("posix", "getppid"), ("posix", "getcwd"), ("posix", "getcwdb"), ("posix", "umask"),
         ("posix", "sched_getaffinity"), ("posix", "sched_setaffinity"), ("posix", "getpgrp"), ("posix", "getpgid"),
         ("posix", "setpgid"), ("posix", "fstat"), ("_signal", "getsignal"), ("_signal", "pthread_sigmask"),
         ("time", "time"), ("time", "time_ns"))


def replace_asked(names):
    """Has calls of them noted in NAMES; returns what restores them."""
    replaced = []

    def replace(module, name):
        function = getattr(module, name)

        def ask(*arguments):
            names.append(name)
            return function(*arguments)

        for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):  # functools.wraps copies them
            setattr(ask, attribute, getattr(function, attribute, None))
        replaced.append((name, function, ask))
        setattr(module, name, ask)

    def restore():
        # os copied posix's functions when it was imported; so may others have done.
        for module in list(sys.modules.values()):
            space = getattr(module, "__dict__", {})
            for name, function, ask in replaced:
                if space.get(name) is ask:
                    space[name] = function
                elif getattr(space.get(name), "__wrapped__", None) is ask:
                    space[name].__wrapped__ = function

    for module, name in ASKED:
        replace(__import__(module), name)
    return restore


def read_text(path):
    # Not by a codec: what a program's own start would not have loaded must not be there.
    try:
        with open(path, "rb") as file:
            return file.read().decode("ascii", "surrogateescape")
    except OSError:
        return ""


def module_files(attribute):
    for module in list(sys.modules.values()):
        path = getattr(module, attribute, None)
        if isinstance(path, str):
            yield path


def site_directories(site):
    """Every directory where a new file could change what starting does."""
    directories = list(sys.path)
    if site is not None:
        directories += site.getsitepackages()
        directories += [path for path in (site.USER_SITE, site.USER_BASE) if path]
    return directories


def start_up_inputs(posix):
    """Paths that starting depended on: looked at again, by stat, for every run."""
    bin_dir = sys.executable.rpartition("/")[0]
    inputs = {sys.executable, bin_dir + "/pyvenv.cfg", bin_dir + "/../pyvenv.cfg", bin_dir + "/pybuilddir.txt"}
    inputs.update(module_files("__file__"))
    inputs.update(module_files("__cached__"))
    inputs.update(zone_files(posix))
    site = sys.modules.get("site")
    for directory in site_directories(site):
        inputs.add(directory)
        try:
            names = posix.listdir(directory)
        except OSError:
            continue
        if site is not None:
            for name in names:
                if name.endswith(".pth"):
                    inputs.add(directory + "/" + name)
                    inputs.update(paths_in_pth(directory, name))
    return sorted(inputs)


def paths_in_pth(directory, name):
    """What a .pth file puts on sys.path, there or not: one that is not is left out until it is."""
    for line in read_text(directory + "/" + name).splitlines():
        line = line.strip()
        if line and not line.startswith(("#", "import ", "import\t")):
            yield line if line.startswith("/") else directory + "/" + line


def zone_files(posix):
    """What the C library may have taken the time zone from (tzset(3)), and does not look at again."""
    zone = posix.environ.get(b"TZ")
    if zone is None:
        return ["/etc/localtime"]
    directory = posix.environ.get(b"TZDIR", b"/usr/share/zoneinfo")
    names = zone[zone.startswith(b":"):] or b"Universal", b"posixrules"
    paths = [name if name.startswith(b"/") else directory + b"/" + name for name in names]
    return [path.decode("ascii", "surrogateescape") for path in paths if path.startswith(b"/")]


def look_at_streams():
    """What start-up code could change of the standard streams, and who holds them: a run gets others."""
    seen = []
    for name in ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"):
        text = getattr(sys, name, None)
        buffer = getattr(text, "buffer", None)
        raw = getattr(buffer, "raw", None)
        settings = [getattr(text, setting, None) for setting in ("encoding", "errors", "line_buffering", "write_through",
                                                           "_CHUNK_SIZE")]
        attributes = [dict(getattr(stream, "__dict__", ())) for stream in (text, buffer, raw)]
        holders = [sys.getrefcount(stream) for stream in (text, buffer, raw) if stream is not None]
        seen.append((name.strip("_"), id(text), settings, attributes, holders))
    # The main thread of threading has one, which a run renews (streams.cc).
    main = getattr(sys.modules.get("threading"), "_main_thread", None)
    if sys.stderr is not None and getattr(main, "_stderr", None) is sys.stderr:
        for stream in seen:
            if stream[0] == "stderr":
                stream[4][0] -= 1
    return seen


def changed_newlines(posix):
    """The standard stream that makes something else of newlines than Python has it do, which no attribute says
    (TextIOWrapper.reconfigure); or None. The three are of no use afterwards: a run gets others."""
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            continue
        kept = posix.dup(number)
        reader, writer = posix.pipe()
        posix.dup2(writer if number else reader, number)
        if number:
            stream.write("\n")
            stream.flush()
            as_usual = posix.read(reader, 16).decode(stream.encoding) == "\n"
        else:
            posix.write(writer, "\ra\nb\r\n".encode(stream.encoding))
        posix.close(writer)
        if not number:
            as_usual = stream.readline() == "\ra\n"
        posix.dup2(kept, number)
        posix.close(kept)
        posix.close(reader)
        if not as_usual:
            return ("stdin", "stdout", "stderr")[number]
    return None


def standard_directory():
    # Without site there may be no os; then no code of the user's ran either.
    return sys.modules["os"].__file__.rpartition("/")[0] + "/" if "os" in sys.modules else "/"


def is_standard(path):
    return path.startswith(standard_directory()) and "-packages/" not in path


def discard_old_bytecode(posix):
    """Start-up code of the user's own that has changed since its bytecode was written, though Python took that: by the
    source's ctime, which nothing sets back. The bytecode is removed, and the path of one such source returned; or None."""
    found = None
    for module in list(sys.modules.values()):
        source, bytecode = getattr(module, "__file__", None), getattr(module, "__cached__", None)
        if not isinstance(source, str) or not isinstance(bytecode, str) or is_standard(source):
            continue
        try:
            changed, made = posix.stat(source), posix.stat(bytecode)
            if changed.st_ctime_ns <= made.st_ctime_ns or made.st_ino == changed.st_ino:
                continue
            if posix.stat(bytecode).st_ino == made.st_ino:  # else it was just made anew
                posix.unlink(bytecode)
            found = source
        except OSError:
            pass  # one of them is not there, or is not ours to remove
    return found


def unknowable(posix, inputs, asked, streams):
    """Why start-up code may have depended on what an image cannot reproduce, or None."""
    for before, after in zip(streams, look_at_streams()):
        if before != after:
            return "start-up code keeps or changes sys." + before[0]
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if posix.fstat(1).st_size or posix.fstat(2).st_size:
        return "starting the interpreter prints something"
    for path in inputs:
        if path.endswith((".py", ".pth")) and not is_standard(path) and "argv" in read_text(path):
            return path + " looks at argv"
    for name in asked:
        # An image whose start depends on the working directory, by PYTHONPATH say, is in it; all others are in /.
        if not name.startswith("getcwd") or posix.getcwd() == "/":
            return "start-up code asks for " + name + "()"
    changed = changed_newlines(posix)
    if changed:
        return "start-up code keeps or changes sys." + changed
    if len(posix.listdir("/proc/self/task")) != 1:
        return "start-up code started threads"
    # 0 to 2, the channel, and the one by which they are listed
    if len(posix.listdir("/proc/self/fd")) != 5:
        return "start-up code left descriptors open"
    return None


def loaded_foreign_library():
    return any(path.endswith(".so") and "/lib-dynload/" not in path for path in module_files("__file__"))


def unserved():
    if sys.implementation.name != "cpython" or not SERVED[0] <= sys.version_info[:2] <= SERVED[1]:
        return "%s %d.%d" % ((sys.implementation.name,) + tuple(sys.version_info[:2]))
    if hasattr(sys, "gettotalrefcount") or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "a debug or free-threaded build"
    return None


def prepare(with_site):
    """(reason, detail, version, cache tag, magic, 1 if the whole environment was read, variables read, inputs)"""
    import posix
    import _signal

    version = "%d.%d.%d" % tuple(sys.version_info[:3])
    tag = getattr(sys.implementation, "cache_tag", None) or ""
    magic = int.from_bytes(sys.modules["_frozen_importlib_external"].MAGIC_NUMBER, "little")
    problem = unserved()
    if problem:
        return "interpreter", problem, version, tag, magic, 0, [], []
    own_dir = sys.argv[0].rpartition("/")[0]
    if sys.path and sys.path[0] == own_dir:
        del sys.path[0]  # put in for this script; a program's own comes after site, too
    reads = []
    whole = False
    asked = []
    streams = look_at_streams()
    if with_site:
        recorded, asked = run_site(posix)
        reads = sorted(recorded.names)
        whole = recorded.whole or loaded_foreign_library()
    inputs = start_up_inputs(posix)
    changed = discard_old_bytecode(posix)
    if changed:  # the next one will do better
        return "image-failed", changed + " has changed a moment ago", version, tag, magic, int(whole), reads, inputs
    problem = unknowable(posix, inputs, asked, streams)
    if problem:
        return "startup-code", problem, version, tag, magic, int(whole), reads, inputs
    sys.path_importer_cache.pop(sys.argv[0], None)
    sys.path_importer_cache.pop(own_dir, None)
    # The image waits for its children by a signalfd.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
    return "served", "", version, tag, magic, int(whole), reads, inputs
