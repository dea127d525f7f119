"""Writes bytecode files of this interpreter, any from 2.7 on, into the directory argv[1]: seeds for the fuzzer."""
import os
import py_compile
import sys

EVERYTHING = r"""
a = 1, 2 ** 40, -(2 ** 70), 1.5, 2j, 'text', u'\xfcml', b'bytes', None, True, False, Ellipsis, ()
b = a in {1, 2, 3}, (1, (2, (3, 'x' * 2))), {'k': 'v'}, a[1:2], a[::3]
class Shop(object):
    def sell(self, *a, **k):
        return lambda: [g for g in a]
"""
MAX_SOURCE = 2500  # bytes: short seeds are mutated sooner
FILES = 12


def small_sources():
    top = os.path.dirname(os.__file__)
    paths = [os.path.join(top, name) for name in sorted(os.listdir(top)) if name.endswith(".py")]
    return [path for path in paths if 0 < os.path.getsize(path) < MAX_SOURCE][:FILES]


def main(directory):
    everything = os.path.join(directory, "everything.py")
    with open(everything, "w") as file:
        file.write(EVERYTHING)
    for source in [everything] + small_sources():
        name = "%s-%d%d.pyc" % (os.path.basename(source)[:-3], sys.version_info[0], sys.version_info[1])
        py_compile.compile(source, os.path.join(directory, name), doraise=True)
    os.remove(everything)


main(sys.argv[1])
