from . import __name__ as parent

print("inner of", parent)
