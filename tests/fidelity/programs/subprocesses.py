"""Children get the environment as it is now, and the descriptors that they are given."""
import os
import subprocess
import sys

os.environ["ADDED"] = "by the parent"
os.environ.pop("REMOVED", None)
code = "import os, sys; print(dict(os.environ), sys.argv, sys.stdin.read())"
subprocess.run([sys.executable, "-c", code, "x"], input="given", universal_newlines=True, check=True)
print(subprocess.run("echo $ADDED; exit 4", shell=True).returncode, flush=True)
os.system("echo $ADDED")
print(os.popen("umask").read(), end="")
child = subprocess.Popen(["sleep", "600"])
child.terminate()
print(child.wait())
try:
    subprocess.run(["no-such-program-here"])
except FileNotFoundError as error:
    print(error)
