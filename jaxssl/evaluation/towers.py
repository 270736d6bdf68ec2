"""Encoders of two towers: where the images of a split and texts point in the space of both."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np

from jaxssl import checkpoints, data
from jaxssl.evaluation import features, preparation, protocol, splits
from jaxssl.evaluation.subject import Subject
from jaxssl.types import Array, DataConfig, PyTree

SPACE = "common space"  # what protocols call the layer
_EMBED = "embed"  # what modules with such a space call the way into it
_BATCH = 500


@dataclasses.dataclass(frozen=True, eq=False)
class Towers:
    """A trained encoder of images and texts, and the splits that it is judged on.

    Attributes:
        encoder: the network.
        config: the data set, which turns texts into tokens.
        opened: its splits; "test" is looked at.
        subject: step, data set and splits.
    """

    encoder: checkpoints.RestoredEncoder
    config: DataConfig
    opened: splits.Splits
    subject: Subject

    def embed(
        self, batches: Iterable[Mapping[str, np.ndarray]], column: str, count: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What of the batches lies in a column, "image" or "tokens", in the space of both.

        Returns:
            Unit rows float32 [count, D], and the labels int32 [count] where there are any.
        """
        apply = functools.partial(self.encoder.module.apply, method=_EMBED)

        def read(variables: PyTree, array: Array) -> dict[str, Array]:
            rows = apply(variables, **{column: array})
            norms = jnp.linalg.norm(rows, axis=1, keepdims=True)
            return {column: rows / jnp.where(norms == 0, 1, norms)}

        found = features.extract(
            read,
            self.encoder.variables,
            batches,
            columns=(column,),
            num_examples=count,
            batch_size=min(_BATCH, count),
        )
        return found.layers[column], found.labels

    def test_batches(self) -> Iterable[Mapping[str, np.ndarray]]:
        """The test split in its order."""
        return data.batches(self.opened.test, _BATCH)

    def embed_texts(self, tokens: np.ndarray) -> np.ndarray:
        """Texts [N, L] in the space of both; unit rows float32 [N, D]."""
        starts = range(0, len(tokens), _BATCH)
        batches = ({"tokens": tokens[start : start + _BATCH]} for start in starts)
        return self.embed(batches, "tokens", len(tokens))[0]

    def write(
        self,
        run: str | os.PathLike,
        evaluator: str,
        described: Mapping,
        results: Mapping,
        correct: Mapping[str, np.ndarray] | None = None,
    ) -> dict:
        """Writes a result file; see ``protocol.write``.

        Args:
            run: run directory.
            evaluator: its name.
            described: what its protocol says beside the usual.
            results: the numbers.
            correct: whether each test image was classified right.
        """
        whole = preparation.protocol_of(
            self.opened, self.encoder.inputs, subject=self.subject, layer=SPACE
        )
        whole |= {"evaluator": evaluator, **described}
        who = preparation.subject_of(self.encoder.meta, self.subject.encoder)
        place = protocol.path(run, whole, who)
        return protocol.write(place, protocol=whole, subject=who, results=results, correct=correct)


def open_towers(run: str | os.PathLike, subject: Subject, evaluator: str) -> Towers:
    """Restores the encoder of a run and opens the splits that it is judged on.

    Args:
        run: run directory.
        subject: step, data set and splits.
        evaluator: who asks, for the message.

    Raises:
        ValueError: no complete checkpoint (CheckpointError), an encoder without a network of texts,
            or splits with images in common.
    """
    encoder = checkpoints.restore_encoder(run, subject.step)
    if not hasattr(encoder.module, _EMBED):
        raise ValueError(
            f"{evaluator}: the encoder must have a network of images and one of texts; got "
            f"{type(encoder.module).__name__}. Train one by a recipe such as clip_fashion_mnist."
        )
    config = splits.config_of(encoder.meta, subject.data_path)
    opened = splits.choose(config, train_split=subject.train_split, test_split=subject.test_split)
    splits.check_disjoint(opened)
    return Towers(encoder, config, opened, subject)
