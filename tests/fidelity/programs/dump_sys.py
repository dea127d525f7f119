"""What sys says about the program, its options and its streams."""
import sys

for name in ("argv", "orig_argv", "path", "flags", "executable", "_base_executable", "prefix", "base_prefix",
             "exec_prefix", "platlibdir", "pycache_prefix", "dont_write_bytecode", "warnoptions", "_xoptions",
             "version", "implementation", "byteorder", "float_repr_style", "hash_info", "int_info", "maxsize",
             "api_version", "hexversion", "stdlib_module_names", "builtin_module_names", "safe_path", "tracebacklimit",
             "ps1", "ps2", "last_value", "_framework", "_git", "thread_info", "copyright", "platform"):
    value = getattr(sys, name, "absent")
    print(name, sorted(value) if isinstance(value, (set, frozenset)) else value)
for name in ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"):
    stream = getattr(sys, name)
    print(name, stream, stream is getattr(sys, name.strip("_")))
    if stream is not None:
        print(stream.name, stream.mode, stream.encoding, stream.errors, stream.line_buffering, stream.write_through,
              stream.newlines, stream.fileno(), stream.isatty(), stream.closed, type(stream.buffer).__name__,
              type(getattr(stream.buffer, "raw", None)).__name__, repr(stream.buffer))
for name in ("getrecursionlimit", "getswitchinterval", "getfilesystemencoding", "getfilesystemencodeerrors",
             "getdefaultencoding", "gettrace", "getprofile", "get_coroutine_origin_tracking_depth",
             "get_asyncgen_hooks", "getdlopenflags", "get_int_max_str_digits", "is_finalizing",
             "is_stack_trampoline_active", "_is_gil_enabled"):
    print(name, getattr(sys, name, lambda: "absent")())
for name in ("displayhook", "excepthook", "unraisablehook", "breakpointhook"):
    print(name, getattr(sys, name) is getattr(sys, "__%s__" % name))
print(sorted(vars(sys)))
