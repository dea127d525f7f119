"""Recursion through C code: the exception's text, and whether it comes at all."""
import copy
import functools
import json
import pickle

nested = []
for _ in range(100000):
    nested = [nested]


def attempt(name, function, *args):
    try:
        function(*args)
        print(name, "ok")
    except RecursionError as error:
        print(name, "RecursionError:", error)
    except Exception as error:
        print(name, type(error).__name__, error)


attempt("repr", repr, nested)
attempt("json", json.loads, "[" * 100000)
attempt("pickle", pickle.dumps, nested)
attempt("deepcopy", copy.deepcopy, nested)
attempt("compare", nested.__eq__, [nested])
attempt("compile", compile, "(" * 90 + ")" * 90, "<text>", "eval")
attempt("nested parentheses", compile, "(" * 500 + ")" * 500, "<text>", "eval")
attempt("nested minus", compile, "-" * 2000 + "1", "<text>", "eval")
attempt("isinstance", isinstance, 1, functools.reduce(lambda inner, _: (inner,), range(100000), (str,)))
while nested:  # the trashcan is no part of this test
    nested = nested.pop()
print("done")
