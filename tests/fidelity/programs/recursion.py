"""How deep Python goes before it refuses: the same count, for the frame at the bottom is the same."""
import sys


def dive(depth):
    global deepest
    deepest = depth
    dive(depth + 1)


print(sys.getrecursionlimit())
for limit in (1000, 5000):
    sys.setrecursionlimit(limit)
    try:
        dive(1)
    except RecursionError as error:
        print(limit, deepest, error)
sys.setrecursionlimit(1000)


class Repeating:
    def __getattr__(self, name):
        return getattr(self, name + "x")


try:
    Repeating().a
except RecursionError as error:
    print(type(error).__name__)
dive(1)
