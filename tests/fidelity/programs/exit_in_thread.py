"""SystemExit and an exception in threads end only the threads."""
import sys
import threading


def fail():
    raise LookupError("in a thread")


for target in (lambda: sys.exit(5), fail):
    thread = threading.Thread(target=target, name="T")
    thread.start()
    thread.join()
print("still here")
