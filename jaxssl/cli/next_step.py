"""The command that usually follows another, to be typed as it stands."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from jaxssl.cli import option_names

# {first} and {second} are what a command was called with, {out} is its --out, capitals are for the
# user to fill in. export, train-tokenizer and completion say themselves what follows.
_FOLLOWS = {
    "pretrain": "evaluate {out}",
    "finetune": "predict {out} IMAGES --out predictions.csv",
    "predict": "report {first}",
    "linear-eval": "report {first}",
    "knn-eval": "report {first}",
    "evaluate": "report {first}",
    "few-label": "report {first}",
    "compare": "report {first}",
    "embed": "search {first} QUERY {out}",
    "search": "report {first}",
    "diagnose": "report {first}",
    "segment": "report {first}",
    "pretext-eval": "audit {first}",
    "zero-shot": "text-retrieval {first}",
    "text-retrieval": "report {first}",
    "report": "embed {first} IMAGES --out features.npz",
    "audit": "pretrain {first} --out runs/{stem}",
    "propagate": "report {first}",
    "import": "linear-eval {out} --data-path PATH",
    "prepare": "pretrain simclr_fashion_mnist --out runs/simclr --data.path {second}",
    "recipes": "pretrain simclr_fashion_mnist --help",
    "doctor": "recipes",
}


def after(line: Sequence[str]) -> str | None:
    """The line about the command that follows one that has succeeded.

    Args:
        line: the command line, from the command's name.

    Returns:
        What is printed; None where nothing follows, or another process of the run says it.
    """
    name, *rest = line
    typed = option_names.typed(rest)
    if name not in _FOLLOWS or typed.get("process-id", "0") != "0":
        return None
    first, second = [*rest, "", ""][:2]
    values = {
        "first": first,
        "second": second,
        "stem": Path(first).stem,
        "out": typed.get("out", ""),
    }
    is_run = name == "audit" and Path(first).is_dir()  # no recipe
    follows = "report {first}" if is_run else _FOLLOWS[name]
    quoted = {key: shlex.quote(value) for key, value in values.items()}
    return f"next: jaxssl {follows.format(**quoted)}"
