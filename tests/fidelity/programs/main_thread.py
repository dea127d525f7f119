import os
import signal
import threading

main = threading.main_thread()
print(main.name, main.daemon, main.is_alive(), type(main).__name__)
print(main is threading.current_thread(), main.ident == threading.get_ident())
print(threading.get_native_id() == os.getpid(), main.native_id == os.getpid())
print(threading.active_count(), [thread.name for thread in threading.enumerate()], threading.stack_size())
print(os.listdir("/proc/self/task") == [str(os.getpid())])
signal.signal(signal.SIGUSR1, lambda *_: print("handled in", threading.current_thread().name))
signal.raise_signal(signal.SIGUSR1)
