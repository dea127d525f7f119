"""Compiles what kilnd sends on standard input, a socket, and answers there. Python 2.7, 3.6 and later.

Every frame is a u64 length, then fields (common/fields.h): numbers are u64, strings have a u64 length before them;
all little-endian.

    ->  source, file name, optimization level + 1 (0 is the interpreter's own level; 2.7 knows no other), seconds
        after which to die
    <-  0, marshalled code, warnings
    <-  1, error type, message, line, column, warnings

Warnings are as Python would print them, with a byte 01 in the place of the file's name.

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
    try:
        from signal import alarm  # 2.7, where it is a builtin module
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
    if isinstance(value, bytes):  # str of 2.7
        return string(value)
    return string(value.encode("utf-8", "surrogatepass" if sys.version_info[0] > 2 else "strict"))


def magic_number():
    if sys.version_info[0] > 2:
        from _frozen_importlib_external import MAGIC_NUMBER
    else:
        from imp import get_magic

        MAGIC_NUMBER = get_magic()
    return struct.unpack("<L", MAGIC_NUMBER)[0]


class Warnings:
    """Keeps warnings as Python would print them, source line included."""

    def __init__(self, source):
        self.source = source
        self.lines = None
        self.printed = []

    # A method, for 2.7 takes nothing else in the place of its function.
    def show(self, message, category, filename, lineno, file=None, line=None):
        shown = "\1:%d: %s: %s\n" % (lineno, category.__name__, message)
        if self.lines is None:
            self.lines = self.source.splitlines()
        if 0 < lineno <= len(self.lines):
            shown += "  %s\n" % decode(self.lines[lineno - 1].strip())
        self.printed.append(shown)


def decode(line):
    return line if str is bytes else line.decode("utf-8", "replace")


def is_in_fstring(error, source):
    """Up to 3.11 an f-string's expressions are compiled by themselves, in parentheses, and columns counted there."""
    if not isinstance(error, SyntaxError) or sys.version_info >= (3, 12) or not error.text:
        return False
    lines = source.splitlines()[error.lineno - 1:error.lineno] if error.lineno else []
    return error.text.startswith("(") and error.text.strip() not in [decode(line).strip() for line in lines]


def column_of(error, source):
    """In characters. From 3.9 to 3.12 that of some errors is in bytes, if the source is given as bytes."""
    column = getattr(error, "offset", None) or 0
    if not (3, 9) <= sys.version_info < (3, 13) or not column or not error.text or error.text.isascii():
        return column
    import importlib.util
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are known
        try:
            compile(importlib.util.decode_source(source), error.filename, "exec", dont_inherit=True)
        except SyntaxError as again:
            return again.offset or 0 if again.lineno == error.lineno else 0
        except Exception:
            pass
    return 0


def describe(error, source):
    """The type, message, line and column of what compile() raised."""
    message = error.msg if isinstance(error, SyntaxError) else error
    if isinstance(error, MemoryError) and not str(error):
        message = "the compiler may not take more memory"
    line = getattr(error, "lineno", None) or 0
    column = column_of(error, source)
    if is_in_fstring(error, source):
        column = 0
        if error.filename == "<fstring>":  # up to 3.8 the line is counted there, too
            line, message = 0, "f-string: %s: %s" % (message, error.text.strip())
    return type(error).__name__, str(message), max(line, 0), max(column, 0)


def compile_source(source, filename, optimize):
    collected = Warnings(source)
    warnings.showwarning = collected.show
    try:
        # As importlib's source_to_code. The name CODE is a second reference to the object, without which marshal
        # would not set FLAG_REF on it, as it does in compileall.
        if str is bytes:
            # As its importer reads: newlines are made \n. The level is the process's own.
            code = compile(source.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), filename, "exec", 0, 1)
        else:
            code = compile(source, filename, "exec", dont_inherit=True, optimize=optimize)
        answer = number(0) + string(marshal.dumps(code))
    except Exception as error:  # also MemoryError, RecursionError, ValueError (NUL bytes up to 3.11)
        kind, message, line, column = describe(error, source)
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
    if str is not bytes:
        filename = filename.decode("utf-8", "surrogateescape")
    return source, filename, optimize - 1, seconds


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
