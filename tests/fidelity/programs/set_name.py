import ctypes

libc = ctypes.CDLL(None)
name = ctypes.create_string_buffer(16)
libc.prctl(16, name)
print(name.value, ctypes.c_char_p.in_dll(libc, "program_invocation_short_name").value.decode()[:6])
print([libc.prctl(option) for option in (2 + 1, 39)])
