import pickle
import pickletools
import sys


class Point:
    def __init__(self, x):
        self.x = x


data = pickle.dumps(Point(3), protocol=2)
print(Point.__module__, Point.__qualname__, sys.modules["__main__"].Point is Point)
print(data, pickle.loads(data).x)
pickletools.dis(data)
