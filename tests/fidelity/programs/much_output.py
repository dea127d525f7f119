import sys

for number in range(20000):
    print(number, "x" * 20)
print("on standard error", file=sys.stderr)
sys.stdout.buffer.write(b"\xff\x00raw")
