import inspect
import sys
import traceback


def depth():
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def function():
    traceback.print_stack()
    print(depth(), [(info.function, info.lineno) for info in inspect.stack()])


print(depth(), sys._getframe().f_back, sys._getframe().f_code.co_name)
traceback.print_stack()
function()
try:
    sys._getframe(1)
except ValueError as error:
    print(error)
