import io
import sys

sys.stdout = io.TextIOWrapper(open("out.bin", "wb"), encoding="utf-16")
print("kept in a wrapper")
sys.stderr = None
raise ValueError("nobody hears it")
