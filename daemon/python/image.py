# Makes this interpreter an image (docs: ARCHITECTURE.md): image.py CHANNEL_FD EXTENSION_MODULE
#
# Started by the client as the program of a fresh interpreter, with the options of the runs that it will serve. Says
# what it is to the daemon, loads the extension module and hands over to it for good. It imports nothing that a plain
# interpreter has not loaded at this point, and everything it makes is taken back by the extension, for its children
# become other programs. Runs on any version, to refuse those that are not served.

import sys

SERVED = ((3, 8), (3, 13))


def refuse(channel, reason, detail):
    import os
    import struct

    def field(text):
        data = text.encode("utf-8")
        return struct.pack("<Q", len(data)) + data

    version = "%d.%d.%d" % tuple(sys.version_info[:3])
    message = b"".join(map(field, ("", reason, detail, version, "")))
    os.write(channel, message + struct.pack("<4Q", 0, os.getpid(), 0, 0))
    os._exit(1)


# Start-up code whose whole effect is known, with what it reads besides files, so that it does not tie an image to one
# environment. Lines of .pth files, and sources of sitecustomize with comments and blank lines taken out.
HARMLESS_PTH_LINES = (
    # setuptools; the variable is part of every image's key
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack').add_shim();",
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'stdlib') == 'local'; "
    "enabled and __import__('_distutils_hack').add_shim();",
    # virtualenv: patches distutils' configuration reader
    "import _virtualenv",
)
HARMLESS_SITECUSTOMIZE = (
    # Debian: installs an exception hook where apport is
    "try:\n    import apport_python_hook\nexcept ImportError:\n    pass\nelse:\n    apport_python_hook.install()",
)


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def has_foreign_pth_code(path):
    for line in read_text(path).splitlines():
        if line.startswith(("import ", "import\t")) and line.strip() not in HARMLESS_PTH_LINES:
            return True
    return False


def has_foreign_customization(name):
    module = sys.modules.get(name)
    if module is None:
        return False
    lines = read_text(getattr(module, "__file__", None) or "").splitlines()
    text = "\n".join(line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return text not in HARMLESS_SITECUSTOMIZE


def start_up_inputs(posix):
    """Paths that starting depended on, and whether unknown code of the user's ran."""
    inputs = {sys.executable}
    bin_dir = sys.executable.rpartition("/")[0]
    for name in ("/pyvenv.cfg", "/../pyvenv.cfg", "/pybuilddir.txt"):
        inputs.add(bin_dir + name)
    for module in list(sys.modules.values()):
        for attribute in ("__file__", "__cached__"):
            path = getattr(module, attribute, None)
            if isinstance(path, str) and path != __file__:
                inputs.add(path)
    site = sys.modules.get("site")
    directories = list(sys.path[1:] if not sys.flags.isolated and not getattr(sys.flags, "safe_path", 0) else sys.path)
    if site is not None:
        directories += site.getsitepackages()
        directories += [path for path in (site.USER_SITE, site.USER_BASE) if path]
    foreign = has_foreign_customization("sitecustomize") or has_foreign_customization("usercustomize")
    for directory in directories:
        inputs.add(directory)
        try:
            names = posix.listdir(directory)
        except OSError:
            continue
        for name in names:
            if name.endswith(".pth") and site is not None:
                inputs.add(directory + "/" + name)
                foreign = has_foreign_pth_code(directory + "/" + name) or foreign
    return sorted(inputs), foreign


def main():
    channel = int(sys.argv[1])
    if sys.implementation.name != "cpython" or not SERVED[0] <= sys.version_info[:2] <= SERVED[1]:
        refuse(channel, "interpreter", "%s %d.%d" % ((sys.implementation.name,) + tuple(sys.version_info[:2])))
    if hasattr(sys, "gettotalrefcount") or not getattr(sys, "_is_gil_enabled", lambda: True)():
        refuse(channel, "interpreter", "a debug or free-threaded build")

    import posix
    import _imp
    import _thread

    tasks = posix.listdir("/proc/self/task")
    descriptors = [name for name in posix.listdir("/proc/self/fd")]
    inputs, foreign = start_up_inputs(posix)
    importlib = sys.modules["_frozen_importlib"]
    external = sys.modules["_frozen_importlib_external"]
    path = sys.argv[2]
    spec = importlib.ModuleSpec("_kiln_image", external.ExtensionFileLoader("_kiln_image", path), origin=path)
    extension = _imp.create_dynamic(spec)
    _imp.exec_dynamic(extension)

    version = "%d.%d.%d" % sys.version_info[:3]
    magic = int.from_bytes(external.MAGIC_NUMBER[:2], "little")
    arguments = (channel, version, sys.implementation.cache_tag, magic, int(foreign), inputs, tasks, descriptors)
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
