import os
import sys

print(ascii(sys.argv), [os.fsencode(argument) for argument in sys.argv])
print(ascii(getattr(sys, "orig_argv", None)))
