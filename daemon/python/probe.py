"""Says which interpreter runs this, in one line of JSON. Any Python: 2.7, 3.6 and later.

Strings hold bytes, one character a byte (as Latin-1 does it): a path need not be text.
"""
import json
import sys


def as_bytes(text):
    if text is None:
        text = ""
    if sys.version_info[0] >= 3:
        text = text.encode(sys.getfilesystemencoding(), "surrogateescape")
    return text.decode("latin-1")


def magic_number():
    if sys.version_info[0] >= 3:
        try:
            from _frozen_importlib_external import MAGIC_NUMBER  # a tenth of the time of importlib.util
        except ImportError:
            from importlib.util import MAGIC_NUMBER
        return MAGIC_NUMBER
    import imp

    return imp.get_magic()


def implementation():
    if hasattr(sys, "implementation"):
        return sys.implementation.name
    return "pypy" if hasattr(sys, "pypy_version_info") else "cpython"


def version():
    major, minor, micro, level, serial = sys.version_info
    suffix = {"alpha": "a%d", "beta": "b%d", "candidate": "rc%d"}.get(level, "")
    return "%d.%d.%d" % (major, minor, micro) + (suffix % serial if suffix else "")


print(json.dumps({
    "implementation": implementation(),
    "version": version(),
    "build": as_bytes(sys.version),
    "version_info": list(sys.version_info[:3]),
    "cache_tag": getattr(getattr(sys, "implementation", None), "cache_tag", None) or "",
    "magic": list(bytearray(magic_number())),
    "executable": as_bytes(sys.executable),
    "prefix": as_bytes(sys.prefix),
    "base_prefix": as_bytes(getattr(sys, "base_prefix", sys.prefix)),
}, sort_keys=True))
