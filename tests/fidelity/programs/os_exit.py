"""os._exit drops what is buffered and runs no atexit function."""
import atexit
import os
import sys

atexit.register(print, "never printed")
sys.stdout.write("flushed")
sys.stdout.flush()
sys.stdout.write("lost")
os._exit(int(sys.argv[1]))
