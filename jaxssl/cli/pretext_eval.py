"""``pretext-eval RUN``: the method's own loss on the test split, trained and untrained."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.runs import held_out


@dataclasses.dataclass(frozen=True)
class PretextEval:
    """Prices examples that pretraining did not see by its own loss; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        options: what is measured.
    """

    run: arguments.RunPath
    options: Annotated[held_out.Options, tyro.conf.arg(name="")] = held_out.Options()


def run(words: Sequence[str]) -> None:
    """``jaxssl pretext-eval RUN``."""
    options = arguments.parse(PretextEval, words, prog="jaxssl pretext-eval")
    record = held_out.measure(options.run, options.options)
    described = record["protocol"]
    print(
        f"{described['num_priced']:,} of {described['test_size']:,} examples of "
        f"{described['test_split']}, {described['batch_size']} at a time"
    )
    for encoder, found in record["results"].items():
        spread = f" ± {found['half_width']:.4f}" if "half_width" in found else ""
        rest = "".join(
            f", {name} {value:.4f}"
            for name, value in sorted(found.items())
            if name not in ("loss", "half_width")
        )
        print(f"{encoder}: loss {found['loss']:.4f}{spread}{rest}")
