"""``few-label RUN``: accuracy with 1, 5, 10, 100 labels a class, 1 % and 10 % of them."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from jaxssl import pooling
from jaxssl.cli import arguments, encoders, printing
from jaxssl.evaluation import evaluate, few_label
from jaxssl.evaluation import subject as subjects


@dataclasses.dataclass(frozen=True)
class FewLabel:
    """Linear evaluation with few labels, of several encoders; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        encoders: of trained, random, pixels, pca, of texts trained, random, counts; all of them if
            left out.
        seeds: random encoders are drawn once with each, into a file each.
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        train_split: what labels are drawn from; by default what pretraining learned from, or train
            where that holds the test images.
        test_split: what is predicted; by default the test split of the run.
        stages: measure every stage or block too, and let cross-validation choose.
        grid: average the maps of networks over a grid of so many cells a side; auto takes the
            finest that leaves max-features.
        max_features: features of a layer at most with --grid auto.
        options: budgets, draws and the protocol of the fits.
    """

    run: arguments.RunPath
    encoders: tuple[subjects.EncoderKind, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    step: int | None = None
    data_path: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    stages: bool = True
    grid: int | Literal["auto"] | None = "auto"
    max_features: int = pooling.MAX_FEATURES
    options: Annotated[few_label.FewLabelConfig, tyro.conf.arg(name="")] = (
        few_label.FewLabelConfig()
    )

    def subjects(self) -> list[subjects.Subject]:
        """What is evaluated, in order."""
        return encoders.list_subjects(self, ("stages", "grid", "max_features"))


def run(words: Sequence[str]) -> None:
    """``jaxssl few-label RUN``."""
    options = arguments.parse(FewLabel, words, prog="jaxssl few-label")
    records = []
    for subject in options.subjects():
        records.append(evaluate.few_label_eval(options.run, subject, options.options))
        printing.print_few_label(records[-1])
    printing.print_remarks(records)
