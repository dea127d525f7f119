"""A non-daemon thread goes on after the main thread's end and sees it as finished work."""
import threading

done = threading.Event()


def work():
    threading.main_thread().join()
    print("after main:", threading.main_thread().is_alive())


threading.Thread(target=work).start()
print("main ends")
