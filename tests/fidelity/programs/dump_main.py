for _name, _value in list(globals().items()):
    print(_name, repr(_value))
print(__loader__.__class__, getattr(__loader__, "name", None), getattr(__loader__, "path", None))
print(__name__, __spec__, __doc__, __builtins__)
print(__import__("__main__").__dict__ is globals(), locals() is globals(), dir())
