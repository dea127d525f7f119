"""sys.exit of any value: the argument is an expression."""
import sys


class Opaque:
    def __str__(self):
        return "an opaque object"


sys.stdout.write("unfinished line")
sys.exit(eval(sys.argv[1]))
