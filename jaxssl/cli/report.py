"""``report RUN``: pictures of a run: views, curve, neighbours, accuracies."""

import dataclasses
import json
from collections.abc import Sequence

from jaxssl import report
from jaxssl.cli import arguments
from jaxssl.evaluation import summary


@dataclasses.dataclass(frozen=True)
class Report:
    """Draws a run: what the task looks like, the training curve, neighbours, accuracies.

    Attributes:
        run: run directory.
        data_path: where the data set is, if not where pretraining found it.
    """

    run: arguments.RunPath
    data_path: str | None = None


def run(words: Sequence[str]) -> None:
    """``jaxssl report RUN``."""
    options = arguments.parse(Report, words, prog="jaxssl report")
    paths = report.draw(options.run, data_path=options.data_path)
    print(*paths, sep="\n")
    for path in paths:
        if path.name == report.SUMMARY:
            found = json.loads(path.read_text())
            print("", *summary.table(found), summary.sentence(found), sep="\n")
