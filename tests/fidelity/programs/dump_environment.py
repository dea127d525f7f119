"""The environment, in order, as Python, C and /proc see it, and what locale follows from it."""
import ctypes
import ctypes.util
import locale
import os
import time

for item in os.environb.items():
    print(item)
raw = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
index = 0
while raw[index] is not None:
    print(raw[index])
    index += 1
print(os.getenv("HOME"), os.getenv("DUPLICATE"), os.path.expanduser("~") == os.getenv("HOME"))
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
print(libc.getenv(b"DUPLICATE"), libc.getenv(b"HOME"))
print(locale.setlocale(locale.LC_CTYPE), locale.setlocale(locale.LC_NUMERIC), locale.getpreferredencoding())
print(time.tzname, time.timezone, time.strftime("%H:%M %Z", time.localtime(1600000000)))
os.environ["NEW"] = "1"
print(libc.getenv(b"NEW"))
