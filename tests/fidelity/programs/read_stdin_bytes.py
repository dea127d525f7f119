import os
import sys

print(os.read(0, 4))
print(len(sys.stdin.buffer.read()))
