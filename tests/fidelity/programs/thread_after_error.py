import threading


def work():
    threading.main_thread().join()
    print("thread ends")


threading.Thread(target=work).start()
raise SystemExit("main ends with a message")
