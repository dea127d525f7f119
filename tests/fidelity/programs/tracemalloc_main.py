import tracemalloc

tracemalloc.start()
kept = [bytes(100) for _ in range(10)]
print(tracemalloc.is_tracing(), tracemalloc.get_object_traceback(kept))
