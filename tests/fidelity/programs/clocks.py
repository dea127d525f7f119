"""Clocks of the process start with it."""
import time

print(time.process_time() < 5, time.perf_counter() > 0, time.thread_time() < 5)
