import weakref


class Thing:
    pass


thing = Thing()
callback = weakref.ref(thing, lambda _: print("callback"))
finalizer = weakref.finalize(thing, print, "finalize")
other = Thing()
at_exit = weakref.finalize(other, print, "finalize at exit")
never = weakref.finalize(other, print, "never")
never.atexit = False
del thing
print("end", finalizer.alive, at_exit.alive)
