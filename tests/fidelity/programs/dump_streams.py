import sys

for name in ("stdin", "stdout", "stderr"):
    stream = getattr(sys, name)
    if stream is not None:
        sys.__stdout__ and print(name, stream.encoding, stream.errors, stream.line_buffering, stream.write_through)
print(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors(), sys.flags.utf8_mode)
print("\u00fcml\u00e4ut", file=sys.stderr)
print(ascii("\udce4"))
