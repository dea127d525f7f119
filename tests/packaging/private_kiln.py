"""A private Kiln in a temporary directory, with a small project in it, for commands that are tried out."""
import os
import select
import shutil
import signal
import subprocess
import tempfile

PROJECT = {
    "hello.py": "import sys\nprint('hello', *sys.argv[1:])\n",
    "config.json": '{"name": "example"}\n',
    "src/app.py": "import helper\nprint(helper.NAME)\n",
    "src/helper.py": "NAME = 'helper'\n",
}
# What stands for a program of others: found on PATH, written in Python.
PYTEST = "#!/usr/bin/python3\nimport sys\nprint('no tests ran', *sys.argv[1:])\n"


def has_ended(pid, within_ms):
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(process, select.POLLIN)
    ended = bool(poll.poll(within_ms))
    os.close(process)
    return ended


class PrivateKiln:
    """Use as a context: outside of it nothing is left, neither files nor a daemon."""

    def __init__(self, kiln):
        self.kiln = os.path.abspath(kiln)

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="kiln-packaging-")
        self.project = os.path.join(self.home, "project")
        for name, text in PROJECT.items():
            self.write(os.path.join(self.project, name), text)
        programs = os.path.join(self.home, "bin")
        self.write(os.path.join(programs, "pytest"), PYTEST, mode=0o755)
        os.makedirs(os.path.join(self.home, "run"), mode=0o700)
        self.environment = {
            "PATH": os.pathsep.join([programs, os.path.dirname(self.kiln), "/usr/bin", "/bin"]),
            "HOME": self.home, "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": os.path.join(self.home, "run"),
        }
        return self

    def __exit__(self, *unused):
        # A run that was executed starts daemon and image behind itself, perhaps only now.
        for _ in range(60):
            self.run([self.kiln, "daemon", "stop"])
            if not [pid for pid in self.processes() if not has_ended(pid, within_ms=1000)]:
                break
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home)
        if left:
            raise RuntimeError("processes that did not end: %s" % left)

    def processes(self):
        """Those that were started here, by their environment."""
        mark = ("\0HOME=%s\0" % self.home).encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % pid, "rb") as file:
                    if mark in b"\0" + file.read() + b"\0":
                        found.append(int(pid))
            except OSError:
                pass  # it has ended, or is not ours to read
        return found

    @staticmethod
    def write(path, text, mode=0o644):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def run(self, command, **more):
        """COMMAND: a list, or a line for bash."""
        words = command if isinstance(command, list) else ["bash", "-c", command]
        return subprocess.run(words, cwd=self.project, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                              timeout=120, **more)
