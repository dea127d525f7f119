import sys

lines = []


def trace(frame, event, _):
    if frame.f_code.co_filename == __file__:
        lines.append((event, frame.f_code.co_name, frame.f_lineno))
    return trace


def work():
    return 1


sys.settrace(trace)
work()
sys.settrace(None)
print(lines)
audited = []
sys.addaudithook(lambda event, args: audited.append(event))
open("/dev/null").close()
compile("1", "x", "eval")
print(sorted(set(audited)))
