import os
import sys

print("replaced")
sys.stdout.flush()
os.execv("/bin/sh", ["sh", "-c", "echo by sh; exit 6"])
