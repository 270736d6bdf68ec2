"""The command line: a file for each command, of its name, with its options and its call.

``run(words)`` of that file is the command, and the first line of the file is its line in the usage:
what it is called with in double backquotes, a colon, what it does.
"""

import ast
import contextlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jaxssl
from jaxssl import host_devices, words
from jaxssl.cli import compile_cache
from jaxssl.training import allocator

COMMANDS = (  # in the order of the usage
    "pretrain",
    "finetune",
    "predict",
    "linear-eval",
    "knn-eval",
    "evaluate",
    "few-label",
    "embed",
    "search",
    "pretext-eval",
    "diagnose",
    "zero-shot",
    "text-retrieval",
    "segment",
    "report",
    "compare",
    "audit",
    "propagate",
    "import",
    "export",
    "prepare",
    "train-tokenizer",
    "recipes",
    "doctor",
    "completion",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status.

    0: done, or stopped by a signal and saved; 1: the run failed, audit --strict found a shortcut,
    or nobody reads what is printed any more; 2: wrong input; 130: interrupted.
    """
    try:
        status = _run(argv)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # of "jaxssl recipes | head", which has seen enough
        # Python flushes once more as it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: Sequence[str] | None) -> int:
    own = argv is None  # else the process is the caller's, and so is what JAX does in it
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(jaxssl.__version__)
        return 0
    allocator.tune()
    host_devices.spare()
    if hasattr(sys.stdout, "reconfigure"):  # names need not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with compile_cache.kept() if own else contextlib.nullcontext():
            status = command(argv[0]).run(argv[1:]) or 0
        from jaxssl.cli import next_step  # not above: it imports the parser

        if not status and (line := next_step.after(argv)):
            print(line, file=sys.stderr)  # beside the results, which may go into a pipe
        return status
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError, ImportError) as error:
        return _failed(error, 2)
    except RuntimeError as error:
        from jaxssl.checkpoints import DiskFullError  # not above: they import JAX
        from jaxssl.cli import peers
        from jaxssl.collapse.policy import CollapsedError
        from jaxssl.training.rows import DivergedError

        if isinstance(error, (DivergedError, CollapsedError, DiskFullError)):
            return _failed(error, 1)
        if (note := peers.lost(error)) and not os.environ.get("JAXSSL_TRACEBACK"):
            peers.leave(note)
        raise
    except KeyboardInterrupt:
        print("jaxssl: interrupted", file=sys.stderr)
        return 130


def usage() -> str:
    """All commands, each with a line about it; imports none of them."""
    said = list(map(_summary, COMMANDS))
    width = max(len(words) for words, _ in said) + 2
    lines = (f"  {words:<{width}}{what}" for words, what in said)
    return "\n".join(
        [
            "usage: jaxssl COMMAND ...",
            "",
            *lines,
            "",
            "jaxssl COMMAND --help lists a command's options.",
        ]
    )


def _summary(name: str) -> tuple[str, str]:
    """What a command is called with, and what it does, from the first line of its file."""
    # Read, not imported: JAX and Orbax would take more than a second to show nine lines.
    module = f"{__name__}.{name.replace('-', '_')}"
    spec: Any = importlib.util.find_spec(module)
    first_line, *_ = str(ast.get_docstring(ast.parse(spec.loader.get_source(module)))).splitlines()
    words, what = re.findall(r"^``(.+)``: (.+?)\.?$", first_line)[0]
    return words, what


def command(name: str) -> ModuleType:
    """The file of a command.

    Raises:
        ValueError: there is no such command.
    """
    if name not in COMMANDS:
        near = words.nearest(name, COMMANDS)
        raise ValueError(f"{name}: no such command; the commands are {', '.join(COMMANDS)}.{near}")
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")


def _failed(error: Exception, status: int) -> int:
    if os.environ.get("JAXSSL_TRACEBACK"):
        raise error
    # One line, in which names keep their spaces.
    print(f"jaxssl: {' '.join(map(str.strip, str(error).splitlines()))}", file=sys.stderr)
    if listing := getattr(error, "listing", ""):
        print(listing, file=sys.stderr)
    return status
