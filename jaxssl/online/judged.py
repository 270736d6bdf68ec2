"""What online probes are judged on: which split, and how its features are made on all devices."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import jax
import numpy as np

from jaxssl import data, draws
from jaxssl.evaluation import splits
from jaxssl.types import Batch, DataConfig

MAX_JUDGED = 2048  # images that accuracies are of
MAX_BANK = 4096  # training images that neighbours are sought among


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """Labelled images that pretraining does not see, and training images to vote on them.

    Attributes:
        split: name of the split that the first are of.
        is_test: whether evaluation measures on it, so that nothing may be chosen by it.
        images: at most 2,048 of them, evenly spaced over the split.
        bank: at most 4,096 training images, evenly spaced.
    """

    split: str
    is_test: bool
    images: data.Source
    bank: data.Source

    @classmethod
    def choose(cls, config: DataConfig, train: data.Source) -> Self:
        """Takes "validation" where it is held out from training and from the test, else the test.

        Args:
            config: the data set.
            train: what the run learns from.

        Raises:
            ValueError: a split without classes, or no split that pretraining does not see.
        """
        test = config.open(config.test_split)
        validation = _validation(config)
        chosen, name = test, config.test_split
        if validation is not None and not any(_overlap(each, validation) for each in (train, test)):
            chosen, name = validation, "validation"
        elif _overlap(train, test):
            raise ValueError(
                "run.probe: must be judged on images that the run does not learn from; got "
                f'"{config.train_split}" of {train.name}, which holds those of "{name}". Take '
                "--data.train-split fit, which leaves a validation part, or leave --run.probe out."
            )
        for source, called in ((train, config.train_split), (chosen, name)):
            _check_labelled(source, called)
        images = data.evenly_spaced(chosen, MAX_JUDGED)
        return cls(name, chosen is test, images, data.evenly_spaced(train, MAX_BANK))

    def to_json(self) -> dict:
        """What is judged, as JSON values: name of the split, whether it is the test, sizes."""
        sizes = {"num_judged": len(self.images), "num_bank": len(self.bank)}
        return {"split": self.split, "is_test": self.is_test} | sizes

    def describe(self) -> str:
        """The line about it for the first lines of a run."""
        said = f"judged on {len(self.images):,} images of {self.split}"
        if self.is_test:
            said += (
                ", the test split, since training leaves no validation part: choose nothing by it "
                "(--data.train-split fit leaves one)"
            )
        return said


def local_batches(source: data.Source, batch_size: int) -> Iterator[Batch]:
    """This process's rows of every global batch of a source, without labels.

    Args:
        source: in its order.
        batch_size: G; the last batch is filled up with its last example.
    """
    rows = np.pad(np.arange(len(source)), (0, -len(source) % batch_size), mode="edge")
    own = rows.reshape(-1, jax.process_count(), batch_size // jax.process_count())
    part = data.take(source, own[:, jax.process_index()].ravel())
    for batch in data.batches(part, own.shape[2]):
        yield draws.without_labels(batch)


def _check_labelled(source: data.Source, name: str) -> None:
    if not splits.knows_classes(source):
        reason = data.account_of(source).unlabelled
        raise ValueError(
            f'run.probe: every image of "{name}" must have a class; got {source.name} without'
            f"{f', since {reason}' if reason else ''}. Leave --run.probe out, or name labelled "
            "splits with --data.train-split and --data.test-split."
        )


def _validation(config: DataConfig) -> data.Source | None:
    try:
        return config.open("validation")
    except ValueError:  # the data set has none, and cannot be divided
        return None


def _overlap(train: data.Source, held_out: data.Source) -> bool:
    return splits.shared_part(train, held_out) > splits.MAX_SHARED
