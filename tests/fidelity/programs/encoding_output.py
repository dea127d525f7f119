import sys

print("\u00e4\u20ac\U0001f600")
print("caf\u00e9", file=sys.stderr)
