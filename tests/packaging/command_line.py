"""What the programs say of themselves: their commands and options, by --help."""
import re
import subprocess

# An option at the beginning of a line of --help, or after a comma there: "-j,--jobs N", "  -h, --help".
OPTION_LINE = re.compile(r"^  (-[\w-]+(?:, ?-[\w-]+)*)", re.MULTILINE)
HELP = {"-h", "--help"}


def help_text(*words):
    return subprocess.run([*words, "--help"], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


def options_in(text):
    return {option for line in OPTION_LINE.findall(text) for option in re.split(", ?", line)}


def commands(kiln):
    listed = help_text(kiln).split("Commands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([\w-]+) ", listed, re.MULTILINE)


def options_of_commands(kiln):
    """{"run": {"--python", ...}, ..., "explain run": ...}"""
    names = [[name] for name in commands(kiln)] + [["explain", "run"], ["daemon", "logs"]]
    return {" ".join(name): options_in(help_text(kiln, *name)) for name in names}


def daemon_actions(kiln):
    return re.findall(r"^  (\w+) ", help_text(kiln, "daemon"), re.MULTILINE)
