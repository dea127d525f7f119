import sys

print("main of", __package__, __name__, __spec__.name, sys.argv, __file__)
print(sys.path[0], list(globals()))
from . import inner
import traceback

traceback.print_stack(file=sys.stdout)
