"""The few options that everybody uses, out of the many that a command has."""

import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence

# Boxes have sides where the output is UTF-8.
_ENTRY = re.compile(r"[│ ] (-\S.*?)[│ ]*")
_MEANING = re.compile(r"[│ ] {4,}(\S.*?)[│ ]*")  # of the entry above it, in one line or several
_INDENT = 6


def entries(whole: str) -> dict[str, tuple[str, str]]:
    """The options of a help text.

    Args:
        whole: as tyro prints it, in boxes, one option below the other.

    Returns:
        "training.batch-size" to what is typed, "--training.batch-size INT", and its description.
        The two names of a switch, yes and no, are two entries.
    """
    found: dict[str, tuple[str, str]] = {}
    typed = ""
    meaning: list[str] = []
    for line in [*whole.splitlines(), "│ -- │"]:
        if match := _ENTRY.fullmatch(line):
            for name in re.findall(r"--([\w.-]+)", typed):
                found[name] = (typed, " ".join(meaning))
            typed, meaning = match[1], []
        elif match := _MEANING.fullmatch(line):
            meaning.append(match[1])
    return found


def show(prog: str, found: Mapping[str, tuple[str, str]], usual: Sequence[str]) -> str:
    """A help text of some options alone.

    Args:
        prog: the command, for its usage.
        found: see ``entries``.
        usual: their names in order; those that are not found are left out.
    """
    width = min(shutil.get_terminal_size().columns, 100)
    indent = " " * _INDENT
    shown = dict(found[name] for name in usual if name in found)
    lines = [f"usage: {prog} [--option value ...]", ""]
    for typed, meaning in shown.items():
        lines.append(f"  {typed}")
        lines += textwrap.wrap(meaning, width, initial_indent=indent, subsequent_indent=indent)
    others = len({typed for typed, _ in found.values()} - shown.keys())
    return "\n".join([*lines, "", f"{others} options more: {prog} --help-all"])
