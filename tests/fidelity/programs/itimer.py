import signal

rang = []
signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
signal.setitimer(signal.ITIMER_REAL, 0.01)
while not rang:  # signal.pause() would miss an alarm that came just before it
    pass
print("alarm", flush=True)
signal.signal(signal.SIGALRM, signal.SIG_DFL)
signal.setitimer(signal.ITIMER_REAL, 0.01)
while True:
    signal.pause()
