import _thread
import threading
import time

print("interrupting")
threading.Thread(target=_thread.interrupt_main).start()
try:
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted")
