import _thread
import threading
import time

print("interrupting")
try:
    threading.Thread(target=_thread.interrupt_main).start()
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted")
