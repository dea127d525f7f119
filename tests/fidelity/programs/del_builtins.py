"""Finalizers that see how far the shutdown is: which names still work."""
import builtins
import os
import sys


class Late:
    def __init__(self, name):
        self.name = name

    def __del__(self, write=os.write):
        text = "%s %s %s %s\n" % (self.name, sys is None or sys.is_finalizing(), os is None, "open" in dir(builtins or 0))
        write(1, text.encode())


module = type(sys)("made_by_hand")
module.late = Late("in a module")
sys.modules["made_by_hand"] = module
os.late = Late("in os")
builtins.late = Late("in builtins")
late = Late("global")
