def fail():
    raise OSError(5, "from a module")


fail()
