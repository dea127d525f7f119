"""Compiles what kilnd sends on standard input, a socket, and answers there. Python 3.7 and later.

Every frame is a u64 length, then fields (common/fields.h): numbers are u64, strings have a u64 length before them;
all little-endian.

    ->  source, file name, optimization level + 1 (0 is the interpreter's own level), seconds after which to die
    <-  0, marshalled code, warnings
    <-  1, error type, message, line, column, warnings

The first frame of all comes from here: the magic number, for the file behind an interpreter's path may be another by
now. End of file ends the worker. Few modules are imported, and none that site would: from 3.13 on the bytes of a
module differ in a process that has imported it.
"""
import io
import marshal
import struct
import sys
import warnings

# Belt and braces: should kilnd be killed while a compile hangs, the kernel ends it. Not the signal module, which
# imports a lot for its enums.
try:
    from _signal import alarm
except ImportError:
    def alarm(seconds):
        pass


def read_number(stream):
    raw = stream.read(8)
    return struct.unpack("<Q", raw)[0] if len(raw) == 8 else None


def number(value):
    return struct.pack("<Q", value)


def string(data):
    return number(len(data)) + data


def text(value):
    return string(value.encode("utf-8", "surrogatepass"))


def magic_number():
    from _frozen_importlib_external import MAGIC_NUMBER

    return struct.unpack("<L", MAGIC_NUMBER)[0]


class Warnings:
    """Keeps warnings as Python would print them, source line included."""

    def __init__(self, source):
        self.source = source
        self.printed = []

    def __call__(self, message, category, filename, lineno, file=None, line=None):
        shown = "%s:%d: %s: %s\n" % (filename, lineno, category.__name__, message)
        lines = self.source.splitlines()
        if 0 < lineno <= len(lines):
            shown += "  %s\n" % lines[lineno - 1].strip().decode("utf-8", "replace")
        self.printed.append(shown)


def describe(error):
    """The type, message, line and column of what compile() raised."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    line = getattr(error, "lineno", None) or 0
    column = getattr(error, "offset", None) or 0
    return type(error).__name__, str(message), max(line, 0), max(column, 0)


def compile_source(source, filename, optimize):
    collected = warnings.showwarning = Warnings(source)
    try:
        # As importlib's source_to_code. The name CODE is a second reference to the object, without which marshal
        # would not set FLAG_REF on it, as it does in compileall.
        code = compile(source, filename, "exec", dont_inherit=True, optimize=optimize)
        answer = number(0) + string(marshal.dumps(code))
    except Exception as error:  # also MemoryError, RecursionError, ValueError (NUL bytes up to 3.11)
        kind, message, line, column = describe(error)
        answer = number(1) + text(kind) + text(message) + number(line) + number(column)
    return answer + text("".join(collected.printed))


def parse_request(request):
    fields, at = [], 0
    for _ in range(2):
        size = struct.unpack_from("<Q", request, at)[0]
        fields.append(request[at + 8:at + 8 + size])
        at += 8 + size
    source, filename = fields
    optimize, seconds = struct.unpack_from("<QQ", request, at)
    return source, filename.decode("utf-8", "surrogateescape"), optimize - 1, seconds


def main():
    requests = io.open(0, "rb", closefd=False)
    answers = io.open(0, "wb", closefd=False)

    def send(answer):
        answers.write(string(answer))
        answers.flush()

    send(number(magic_number()))
    while True:
        size = read_number(requests)
        if size is None:
            return
        source, filename, optimize, seconds = parse_request(requests.read(size))
        alarm(seconds)
        answer = compile_source(source, filename, optimize)
        alarm(0)
        send(answer)


main()
