import sys

for name in sys.argv[1:]:
    with open(name) as file:
        print(name, repr(file.read()))
