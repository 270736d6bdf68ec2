"""``compare RUN RUN...``: runs side by side; or one beside what its recipe is known to do."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.report import comparison as shown
from jaxssl.report import golden_table
from jaxssl.runs import comparison, golden


@dataclasses.dataclass(frozen=True)
class Compare:
    """Puts the results of trained encoders side by side; seeds of one recipe are a column.

    With ``--golden`` it holds the first rows of one run against those recorded of its recipe; exit
    status 1 where they are others.

    Attributes:
        runs: run directories; the others are compared with the first.
        out: a directory for comparison.html and comparison.md, or one file that ends so.
        golden: compare one run's metrics with the golden curve of its recipe.
        across_protocols: compare results of different protocols too, or golden curves of other
            recipes.
        seed: of the bootstrap.
    """

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]
    out: Path | None = None
    golden: bool = False
    across_protocols: bool = False
    seed: int = 0


def run(words: Sequence[str]) -> int:
    """``jaxssl compare RUN RUN...``; the exit status."""
    options = arguments.parse(Compare, words, prog="jaxssl compare")
    if options.golden:
        return _beside_golden(options)
    if options.out is not None:
        shown.check_out(options.out)
    found = comparison.compare(
        options.runs, across_protocols=options.across_protocols, seed=options.seed
    )
    print(shown.as_text(found))
    if options.out is not None:
        print(*shown.write(found, options.out), sep="\n")
    return 0


def _beside_golden(options: Compare) -> int:
    if len(options.runs) != 1 or options.out is not None:
        raise ValueError(
            f"compare --golden: takes one run, and prints; got {len(options.runs)}"
            f"{'' if options.out is None else ' and --out'}. Name one run alone."
        )
    verdict = golden.judge(options.runs[0], across_protocols=options.across_protocols)
    print(golden_table.as_text(verdict))
    return 1 if verdict.outside else 0
