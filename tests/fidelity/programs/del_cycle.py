import gc


class Node:
    def __init__(self, name):
        self.name = name
        self.self = self

    def __del__(self):
        print("del", self.name)


node = Node("global cycle")
Node("garbage")
gc.disable()
Node("uncollected")
print("end")
