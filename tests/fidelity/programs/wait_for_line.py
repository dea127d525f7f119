import sys

print("ready", flush=True)
line = sys.stdin.readline()
print("got", line.strip())
with open("result.txt", "w") as file:
    file.write(line)
sys.exit(21)
