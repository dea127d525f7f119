import sys

loaded = sorted(sys.modules)
order = list(sys.modules)
print(loaded)
print(order == list(dict.fromkeys(order)), order.index("__main__") < len(order))
print([(finder if isinstance(finder, type) else type(finder)).__name__ for finder in sys.meta_path])
print(sys.path_hooks[0].__name__, len(sys.path_hooks))
print(sorted(sys.path_importer_cache))
print({name: getattr(module, "__file__", None) for name, module in sorted(sys.modules.items())})
print(sys.modules["__main__"].__dict__ is globals())
import builtins

print(dir(builtins))
print([name for name in dir(builtins) if getattr(builtins, name) is None])
