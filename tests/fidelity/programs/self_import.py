"""A script that imports itself under its own name is executed a second time."""
import sys

print(__name__)
import self_import

print(self_import is sys.modules.get("__main__"))
