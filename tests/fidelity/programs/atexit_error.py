import atexit


def fail():
    raise RuntimeError("in atexit")


atexit.register(fail)
raise ValueError("in main")
