import sys

first = input("prompt> ")
print(repr(first))
print(repr(sys.stdin.readline()))
print(repr(sys.stdin.read()))
try:
    input()
except EOFError as error:
    print("EOFError:", error)
