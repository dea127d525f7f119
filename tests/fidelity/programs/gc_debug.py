import gc

gc.set_debug(gc.DEBUG_SAVEALL)
cycle = []
cycle.append(cycle)
