"""What is buffered at a fork is written twice; both sides finish as programs of their own."""
import atexit
import os
import sys

atexit.register(lambda: print("exit of", role))
role = "parent"
sys.stdout.write("buffered once, written twice\n")
pid = os.fork()
if pid == 0:
    role = "child"
    print(os.getppid() != os.getpid())
    sys.exit(7)
status = os.waitpid(pid, 0)[1]
print(status >> 8)
