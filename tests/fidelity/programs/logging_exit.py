"""logging's own atexit function flushes its handlers."""
import logging
import logging.handlers

target = logging.FileHandler("log.txt")
memory = logging.handlers.MemoryHandler(1000, target=target)
logging.basicConfig(level=logging.INFO, handlers=[memory, logging.StreamHandler()])
logging.info("kept in memory until the end")
logging.warning("%s", "on standard error")
