"""atexit functions run after non-daemon threads, last one first, whatever they raise."""
import atexit
import sys
import threading


def fail():
    raise RuntimeError("in atexit")


def leave():
    sys.exit(9)


def late():
    print("registered while exiting")


release = threading.Event()


def work():
    release.wait()
    print("thread ends")


atexit.register(print, "first registered")
atexit.register(fail)
atexit.register(lambda: atexit.register(late))
atexit.register(leave)
atexit.register(print, "last registered")
thread = threading.Thread(target=work)
thread.start()
print("main ends")
release.set()
