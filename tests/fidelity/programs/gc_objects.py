import gc

print(len(gc.get_objects()) > 1000, gc.get_freeze_count(), gc.isenabled(), gc.get_threshold())
print(gc.get_debug(), gc.callbacks, gc.garbage)
print(len(gc.get_stats()), any(type(o).__name__ == "Mine" for o in gc.get_objects()))


class Mine:
    pass


mine = Mine()
print(any(o is mine for o in gc.get_objects()))
