"""An exit handler of C's, by when Python handles no signals any more."""
import ctypes
import signal
import sys

libc = ctypes.CDLL(None)
libc.__cxa_atexit(getattr(libc, "raise"), ctypes.c_void_p(signal.SIGINT), None)
signal.signal(signal.SIGTERM, lambda *_: None)
sys.exit(4)
