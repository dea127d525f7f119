import sys


class Opaque:
    def __str__(self):
        return "an opaque object"


class Broken:
    def __str__(self):
        raise RuntimeError("no text")


sys.exit(Opaque() if len(sys.argv) == 1 else Broken())
