"""``export RUN OUT --to PROGRAM``: writes the encoder for timm, Hugging Face, ONNX and others."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl import interop
from jaxssl.cli import arguments


@dataclasses.dataclass(frozen=True)
class Export:
    """Writes the encoder of a run as another program has it, compared before it counts.

    Attributes:
        run: run directory.
        out: folder to make; must not exist.
        to: timm, torchvision or hf (Hugging Face), which then take it in one line; safetensors,
            the leaves under jaxssl's names; onnx, for ONNX Runtime and its kin; stablehlo, which
            needs JAX alone.
        step: checkpoint; the newest by default.
    """

    run: arguments.RunPath
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    to: interop.To
    step: int | None = None


def run(words: Sequence[str]) -> None:
    """``jaxssl export RUN OUT --to PROGRAM``."""
    options = arguments.parse(Export, words, prog="jaxssl export")
    made = interop.export(options.run, options.to, options.out, step=options.step)
    print(f"{made.path}: features are the encoder's up to {made.difference:.1e} of the largest")
    print(f"next, in Python: {made.usage}")
