"""A docstring that -OO removes."""
import sys
import warnings

print(sys.flags, __debug__, __doc__, sys._xoptions, sys.warnoptions, sys.dont_write_bytecode)
print(sys.path, sys.stdout.write_through, sys.stdout.line_buffering, sys.stdout.encoding, sys.stdin.errors)
print(warnings.filters)
print("site" in sys.modules, "threading" in sys.modules)
try:
    assert False, "asserted"
except AssertionError as error:
    print("AssertionError", error)


def documented():
    """Removed, too."""


print(documented.__doc__)
if getattr(sys.flags, "bytes_warning", 0) < 2:
    print(b"x" == "x")
import imported

print(imported.__cached__, imported.__doc__)
