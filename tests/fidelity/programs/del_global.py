"""Finalizers at exit: of globals, in order, with a class attribute, a module that is still usable, an error."""
import sys


class Loud:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("del", self.name, sys is not None, type(self).__name__)


class Slots:
    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("slots", self.name)


class Broken:
    def __del__(self):
        raise RuntimeError("in __del__")


class Owner:
    held = Loud("class attribute")


first = Loud("first")
_private = Loud("private")
second = Slots("second")
broken = Broken()
listed = [Loud("in a list"), Slots("in a list")]
print("end of main")
