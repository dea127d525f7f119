"""Says which signal came, then exits with 40: one delivery, one handler call."""
import signal
import sys

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
for name in NAMES:
    signal.signal(getattr(signal, name), lambda number, _: got.append(signal.Signals(number).name))
got = []
print("ready", flush=True)
signal.pause()
print(got)
sys.exit(40)
