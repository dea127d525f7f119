"""What sys holds dies last, and with it the globals of its class: too late for their finalizers to be heard."""
import sys


class Loud:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("del", self.name)


other = Loud("global")
sys.kept = Loud("attribute of sys")
print("end of main")
