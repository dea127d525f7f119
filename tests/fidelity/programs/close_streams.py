import os
import sys

print("before")
sys.stdout.flush()
os.close(1)
print("into nothing", file=sys.stderr)
print("into a closed descriptor")
