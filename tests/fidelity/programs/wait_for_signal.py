import atexit
import signal
import sys

sys.tracebacklimit = 0  # which line an interrupt finds is a matter of luck
atexit.register(print, "atexit ran")
print("ready", flush=True)
while True:
    signal.pause()
