"""What C code wrote into stdio's buffer is flushed by libc at exit, after Python's own."""
import ctypes
import sys

libc = ctypes.CDLL(None)
libc.printf(b"from C, %d\n", ctypes.c_int(1))
print("from Python")
sys.stdout.flush()
libc.puts(b"from C again")
libc.printf(b"no newline")
