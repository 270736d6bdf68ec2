"""``import FILE --out RUN``: makes a run directory of published weights.

The commands that take an encoder take it: evaluate, knn-eval, linear-eval, few-label, embed,
finetune, and pretrain with --init-from.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl import inputs, interop
from jaxssl.cli import arguments

MAX_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Import:
    """Reads weights of torchvision, timm or Hugging Face, or as their authors publish them.

    Attributes:
        file: .safetensors or .pth, or the folder of such a file and its config.json; or a name that
            is downloaded: timm:NAME, hf:OWNER/NAME, torchvision:NAME.
        out: run directory to make; new or empty.
        options: what the file does not say.
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    out: Path
    options: Annotated[interop.ImportConfig, tyro.conf.arg(name="")] = interop.ImportConfig()


def run(words: Sequence[str]) -> None:
    """``jaxssl import FILE --out RUN``."""
    options = arguments.parse(Import, words, prog="jaxssl import")
    encoder, others = interop.import_run(options.file, options.out, options.options)
    size, channels = inputs.square_side(encoder.inputs)
    config = encoder.module.config
    said = f"{encoder.meta['origin']['imported']['layout']}, images {size} x {size} x {channels}"
    print(f"{options.out}: {said}, mean {_numbers(config.mean)}, std {_numbers(config.std)}")
    if others:
        more = len(others) - MAX_SHOWN
        shown = ", ".join(others[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
        print(f"left out, as no part of the encoder: {shown}")


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
