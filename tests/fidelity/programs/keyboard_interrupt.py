"""Python dies of SIGINT itself, so that a shell sees an interrupted program."""
import atexit

atexit.register(print, "atexit ran")
raise KeyboardInterrupt("by hand")
