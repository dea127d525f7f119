import faulthandler
import sys

print(faulthandler.is_enabled())
faulthandler.dump_traceback(file=sys.stdout, all_threads=False)
