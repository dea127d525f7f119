"""Daemon threads, in C and in Python code, are abandoned at exit."""
import itertools
import threading

started = threading.Semaphore(0)


def wait():
    started.release()
    threading.Event().wait()


def spin():
    started.release()
    for _ in itertools.count():
        pass


for target in (wait, wait, spin):
    threading.Thread(target=target, daemon=True).start()
for _ in range(3):
    started.acquire()
print("main ends")
