"""A private Kiln that knows of bytecode in every state, for what asks it."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "packaging"))
from private_kiln import PrivateKiln

PYTHON = "/usr/bin/python3"
FILES = {
    "tree/fresh.py": "import re\n\n\ndef answer():\n    return 42\n",
    "old/stale.py": "VALUE = 1\n",  # where nothing is imported from, which would be compiled by itself
    "tree/broken.py": "def greet(name):\n    return 'hello ' + + name)\n",
    "tree/warns.py": "assert (1, 'always true')\n",
    "tree/gone.py": "GONE = True\n",
    "tree/package/__init__.py": "",
    "tree/package/a_module_with_a_rather_long_name_that_says_what_it_is_good_for.py": "LONG = True\n",
    "main.py": "import sys\nsys.path.insert(0, 'tree')\nimport fresh\nprint(fresh.answer())\n",
}
MOST_RUNS = 200
WRITTEN_S = 1700000000


class PrivateProject(PrivateKiln):
    def __enter__(self):
        super().__enter__()
        self.environment.update(KILN_PYTHON=PYTHON, KILN_IMAGES_PROGRAMS="false")
        for name, text in FILES.items():
            self.put(name, text)
        return self

    def put(self, name, text):
        """Always of one time: size alone tells one text from another."""
        self.write(self.path(name), text)
        os.utime(self.path(name), (WRITTEN_S, WRITTEN_S))

    def path(self, name):
        return os.path.join(self.project, name)

    def pyc(self, name):
        """Of the source NAME."""
        code = "import importlib.util, sys; print(importlib.util.cache_from_source(sys.argv[1]))"
        return self.run([PYTHON, "-c", code, self.path(name)]).stdout.strip()

    def ask(self, *words):
        """`kiln WORDS`, whatever its exit code: its standard output."""
        return self.run([self.kiln, *words]).stdout

    def settle(self):
        """Has bytecode in every state, and an image that has served a run."""
        self.ask("precompile", "tree", "old")
        os.remove(self.path("tree/gone.py"))
        self.put("old/stale.py", "VALUE = 'another size'\n")
        self.run_until_served()
        # Who has compiled what was imported, Kiln or Python itself, depends on how long ago it was written.
        self.ask("precompile", "--force", "tree")

    def run_until_served(self):
        for _ in range(MOST_RUNS):
            done = self.run("KILN_LOG=1 '%s' run main.py" % self.kiln)
            if "reason=served" in done.stdout:
                return
        raise RuntimeError("no run was served: " + done.stdout)
