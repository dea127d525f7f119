"""Says which signal came, then exits with 40: one delivery, one handler call."""
import os
import signal
import sys

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGABRT", "SIGSEGV", "SIGPROF",
         "SIGRTMIN", "SIGIO", "SIGWINCH", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG")
for name in NAMES:
    signal.signal(getattr(signal, name), lambda number, _: got.append(signal.Signals(number).name))
got = []
# signal.pause() would miss a signal that came just before it.
come, notify = os.pipe()
os.set_blocking(notify, False)
signal.set_wakeup_fd(notify)
print("ready", flush=True)
os.read(come, 1)
print(got)
sys.exit(40)
