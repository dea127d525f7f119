"""Imports write bytecode beside their sources; the main script gets none."""
import sys

import imported
import package.inner
from package import inner

print(imported.__file__, imported.__cached__, package.__path__, inner.__name__)
print(sorted(name for name in sys.modules if name.startswith(("imported", "package"))))
try:
    import no_such_module
except ModuleNotFoundError as error:
    print(error, error.name)
import broken_module
