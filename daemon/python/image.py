# Makes this interpreter an image (ARCHITECTURE.md): image.py CHANNEL_FD EXTENSION_MODULE site|no-site
#
# Started by the client as the program of a fresh interpreter, with the options of the runs that it will serve, and -S.
# Loads the extension module, does the rest of the start-up (import site) under observation, and hands over to the
# extension for good. It imports nothing that a plain interpreter has not loaded at this point, and everything it makes
# is taken back by the extension, for its children become other programs. It runs on any version, to refuse those that
# are not served.

import sys

SERVED = ((3, 8), (3, 13))


def refuse(channel, reason, detail):
    import os
    import struct

    def field(text):
        data = text.encode("utf-8", "replace")
        return struct.pack("<Q", len(data)) + data

    version = "%d.%d.%d" % tuple(sys.version_info[:3])
    message = b"".join(map(field, ("", reason, detail, version, "")))
    os.write(channel, message + struct.pack("<5Q", 0, os.getpid(), 0, 0, 0))
    os._exit(1)


def load_extension(path):
    import _imp

    external = sys.modules["_frozen_importlib_external"]
    loader = external.ExtensionFileLoader("_kiln_image", path)
    spec = sys.modules["_frozen_importlib"].ModuleSpec("_kiln_image", loader, origin=path)
    extension = _imp.create_dynamic(spec)
    _imp.exec_dynamic(extension)
    return extension


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


def run_site(posix, extension):
    """Imports site as the interpreter itself would have; returns the recorded environment."""
    before = posix.environ
    recorded = RecordedEnvironment(before)
    recorded.names = set()
    recorded.whole = False
    posix.environ = recorded
    extension.clear_no_site_flag()
    __import__("site")
    before.clear()
    before.update(dict.items(recorded))
    posix.environ = before
    environ = sys.modules["os"].environ
    environ._data = before
    return recorded


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def module_files(attribute):
    for module in list(sys.modules.values()):
        path = getattr(module, attribute, None)
        if isinstance(path, str) and path != __file__:
            yield path


def site_directories(site):
    """Every directory where a new file could change what starting does."""
    own_first = not sys.flags.isolated and not getattr(sys.flags, "safe_path", 0)
    directories = list(sys.path[1:] if own_first else sys.path)
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
    site = sys.modules.get("site")
    for directory in site_directories(site):
        inputs.add(directory)
        try:
            names = posix.listdir(directory)
        except OSError:
            continue
        if site is not None:
            inputs.update(directory + "/" + name for name in names if name.endswith(".pth"))
    return sorted(inputs)


def unknowable(posix, inputs):
    """Why start-up code may have depended on what an image cannot reproduce, or None."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if posix.fstat(1).st_size or posix.fstat(2).st_size:
        return "starting the interpreter prints something"
    standard = sys.modules["_frozen_importlib_external"].__file__ if "os" not in sys.modules else sys.modules["os"].__file__
    standard = (standard or "").rpartition("/")[0] + "/"
    for path in inputs:
        belongs = path.startswith(standard) and "-packages/" not in path
        if path.endswith((".py", ".pth")) and not belongs and "argv" in read_text(path):
            return path + " looks at argv"
    if len(posix.listdir("/proc/self/task")) != 1:
        return "start-up code started threads"
    # 0 to 2, the channel, and the one by which they are listed
    if len(posix.listdir("/proc/self/fd")) != 5:
        return "start-up code left descriptors open"
    return None


def loaded_foreign_library():
    return any(path.endswith(".so") and "/lib-dynload/" not in path for path in module_files("__file__"))


def main():
    channel = int(sys.argv[1])
    if sys.implementation.name != "cpython" or not SERVED[0] <= sys.version_info[:2] <= SERVED[1]:
        refuse(channel, "interpreter", "%s %d.%d" % ((sys.implementation.name,) + tuple(sys.version_info[:2])))
    if hasattr(sys, "gettotalrefcount") or not getattr(sys, "_is_gil_enabled", lambda: True)():
        refuse(channel, "interpreter", "a debug or free-threaded build")

    import posix
    import _signal
    import _thread

    extension = load_extension(sys.argv[2])
    reads = []
    whole = False
    if sys.argv[3] == "site":
        recorded = run_site(posix, extension)
        reads = sorted(recorded.names)
        whole = recorded.whole or loaded_foreign_library()
    inputs = start_up_inputs(posix)
    problem = unknowable(posix, inputs)
    if problem:
        refuse(channel, "startup-code", problem)

    version = "%d.%d.%d" % sys.version_info[:3]
    magic = int.from_bytes(sys.modules["_frozen_importlib_external"].MAGIC_NUMBER[:2], "little")
    arguments = (channel, version, sys.implementation.cache_tag, magic, int(whole), reads, inputs)
    # In every thread, before there is a second: SIGCHLD is ignored by default, and the kernel drops an ignored signal
    # unless the main thread blocks it, whatever others wait for.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
    # A main thread's stack grows as its limit allows; this thread's is given at once, so it is a large one. Pages are
    # only taken when used.
    _thread.stack_size(1 << 30)
    forever = _thread.allocate_lock()
    forever.acquire()
    _thread.start_new_thread(extension.start, arguments)
    _thread.stack_size(0)
    sys.path_importer_cache.pop(sys.argv[0], None)
    forever.acquire()


if sys.version_info < (3, 8):
    refuse(int(sys.argv[1]), "interpreter", "Python %d.%d" % tuple(sys.version_info[:2]))
main()
