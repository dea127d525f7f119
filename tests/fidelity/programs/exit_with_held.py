"""sys.exit of what holds the last reference to something with a finalizer."""
import sys


class Held:
    def __del__(self):
        print("finalized", flush=True)


sys.exit([Held()] if sys.argv[1] == "list" else Held())
