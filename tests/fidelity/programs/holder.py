import os


class Resource:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        with open("log.txt", "a") as log:
            log.write("closed %s\n" % self.name)
        os.write(1, ("closed %s\n" % self.name).encode())


resources = []


def add(name):
    resources.append(Resource(name))


add("by the module")
