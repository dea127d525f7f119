import os
import sys

print("text")
print("error text", file=sys.stderr)
os.write(1, b"raw\n")
sys.stdout.flush()
sys.stderr.write("partial")
print("last", end="")
