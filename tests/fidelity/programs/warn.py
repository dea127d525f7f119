"""A warning's place is counted in frames, also past the outermost one."""
import sys
import warnings


def deprecated(level):
    warnings.warn("at level %d" % level, stacklevel=level)


deprecated(1)
deprecated(2)
deprecated(3)
deprecated(9)
warnings.warn("top", DeprecationWarning)
warnings.warn("above the top", stacklevel=2)
print(sorted(key for key in globals() if "warning" in key), file=sys.stderr)
print(warnings.filters, sys.warnoptions)
