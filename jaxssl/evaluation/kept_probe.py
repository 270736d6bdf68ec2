"""The linear probe of an evaluation, kept: a file of weights, and a classifier of other images.

The file is in the safetensors format, so that no program has to run to read it. Its header says in
JSON, under "probe", what it was fitted to, and what its classes are called.
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from jaxssl import checkpoints, files, jsonable
from jaxssl.checkpoints import feeding
from jaxssl.evaluation import features, linear, preparation, protocol
from jaxssl.evaluation.standardised import Standardised
from jaxssl.runs.directory import RunDirectory
from jaxssl.types import Array

SUFFIX = ".safetensors"
_HEADER, _DIGEST = "probe", "sha256"  # entries of the file's metadata
_ARRAYS = ("classes", "mean", "scale", "weights", "bias")


@dataclasses.dataclass(frozen=True)
class About:
    """What the header of a kept probe says.

    Attributes:
        reading: how the features are made that it was fitted to.
        step: checkpoint of the encoder.
        stamp: of the result beside it (``protocol.stamp``).
        class_names: of its classes, in their order; None where labels are numbers alone.
        protocol: of the result beside it.
    """

    reading: preparation.Reading
    step: int
    stamp: str
    class_names: tuple[str, ...] | None
    protocol: dict


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier on frozen features, with the encoder that makes them.

    Attributes:
        encoder: of the run.
        about: what it was fitted to.
        classes: int64 [K], the labels of its classes, ascending.
        mean: float64 [D], subtracted from the features.
        scale: float64 [D], multiplied after that.
        weights: float64 [D, K].
        bias: float64 [K].
    """

    encoder: checkpoints.RestoredEncoder
    about: About
    classes: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, *arrays: Array) -> np.ndarray:
        """Probabilities of the classes, float64 [N, K], rows that sum to 1.

        Args:
            *arrays: what the encoder is fed, each [N, ...]; for nearly all encoders images
                [N, S, S, C], uint8 or float32 in [0, 1]. N may be anything: they are encoded in
                batches of the size that the evaluation had.

        Raises:
            ValueError: what the encoder refuses.
        """
        return _softmax(self._logits(*arrays))

    def predict(self, *arrays: Array) -> np.ndarray:
        """Labels of the likeliest classes, int64 [N].

        Of the test images, in their order and all at once, they are the evaluation's bit for bit,
        on the same number of devices.
        """
        return self.classes[self._logits(*arrays).argmax(axis=1)]

    def predict_batches(
        self, batches: Iterable[Mapping[str, np.ndarray]], num_examples: int
    ) -> np.ndarray:
        """The same of examples that come in batches, not all of which memory holds.

        Args:
            batches: what the encoder is fed, by name, at most ``about.reading.batch_size`` each.
            num_examples: N, of all batches.
        """
        logits = self._logits_of(self._extracted(batches, num_examples))
        return self.classes[logits.argmax(axis=1)]

    def probabilities(
        self, batches: Iterable[Mapping[str, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
        """Probabilities float64 [B, K] of each batch as it comes, and the batch.

        Args:
            batches: as of ``predict_batches``.
        """
        made = checkpoints.forward(
            self._read,
            self.encoder.variables,
            batches,
            columns=[each.name for each in self.encoder.inputs],
            batch_size=self.batch_size,
        )
        for output, batch in made:
            yield _softmax(self._logits_of(output[self.layer])), batch

    def folded(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights [D, K] and bias [K], float64, on features as they are; see ``linear.folded``."""
        return linear.folded(self.mean, self.scale, self.weights, self.bias)

    def names(self, *arrays: Array) -> list[str]:
        """Names of the likeliest classes, N of them; labels as text where classes have no names."""
        names = self.class_names
        return [names[place] for place in self._logits(*arrays).argmax(axis=1)]

    @property
    def class_names(self) -> tuple[str, ...]:
        """K of them, in the order of the probabilities."""
        return self.about.class_names or tuple(map(str, self.classes.tolist()))

    @property
    def layer(self) -> str:
        """Name of the layer that it reads."""
        return self.about.reading.layers[0].name

    @property
    def batch_size(self) -> int:
        """Examples that it encodes at a time."""
        return self.about.reading.batch_size

    def features(self, *arrays: Array) -> np.ndarray:
        """Features of the layer that the probe reads, float32 [N, D]."""
        feeding.check(self.encoder.inputs, arrays)
        size, count = self.batch_size, len(arrays[0])
        columns = [each.name for each in self.encoder.inputs]
        batches = (
            {name: np.asarray(array[first : first + size]) for name, array in zip(columns, arrays)}
            for first in range(0, count, size)
        )
        return self._extracted(batches, count)

    def _extracted(
        self, batches: Iterable[Mapping[str, np.ndarray]], num_examples: int
    ) -> np.ndarray:
        extracted = features.extract(
            self._read,
            self.encoder.variables,
            batches,
            columns=[each.name for each in self.encoder.inputs],
            num_examples=num_examples,
            batch_size=self.batch_size,
        )
        return extracted.layers[self.layer]

    @functools.cached_property
    def _read(self) -> Callable[..., Mapping[str, Array]]:
        """Reads all layers of the evaluation: another program might round otherwise."""
        return preparation.reader(self.encoder, self.about.reading.layers)

    def _logits(self, *arrays: Array) -> np.ndarray:
        return self._logits_of(self.features(*arrays))

    def _logits_of(self, features: np.ndarray) -> np.ndarray:
        rows = Standardised(features, mean=self.mean, scale=self.scale)
        return np.concatenate(list(linear.logits(rows, self.weights, self.bias)))


def save(
    file: Path, fitted: linear.LinearResult, prepared: preparation.Prepared, described: dict
) -> None:
    """Writes a probe, whole or not at all.

    Args:
        file: where.
        fitted: the probe of the main layer.
        prepared: what it was fitted to; with ``reading``.
        described: its protocol.
    """
    assert prepared.reading is not None
    about = About(
        reading=prepared.reading,
        step=prepared.subject["step"],
        stamp=protocol.stamp(described),
        class_names=names_of(fitted.classes, prepared),
        protocol=described,
    )
    arrays = {name: np.ascontiguousarray(getattr(fitted, name)) for name in _ARRAYS}
    arrays["classes"] = arrays["classes"].astype(np.int64)
    header = json.dumps(jsonable.to_json(about))
    said = {_HEADER: header, _DIGEST: _digest(header, arrays)}
    files.make_directory(file.parent)
    files.write_whole(file, safetensors.numpy.save(arrays, said))


def names_of(labels: np.ndarray, prepared: preparation.Prepared) -> tuple[str, ...] | None:
    """Names of some classes; None where labels are numbers alone."""
    names = prepared.class_names
    return None if names is None else tuple(names[label] for label in labels)


def restore_probe(
    run: str | os.PathLike, file: str | os.PathLike | None = None, *, step: int | None = None
) -> Probe:
    """The linear probe that ``jaxssl linear-eval`` kept, with the encoder that it reads.

    Args:
        run: run directory.
        file: of the probe; by default the one of the newest step that has one.
        step: the one of this step instead.

    Raises:
        ValueError: no probe, or several of that step; a damaged file; one of other weights than
            the run's checkpoint has (CheckpointError where that is gone).

    Example:
        >>> probe = jaxssl.restore_probe("runs/simclr")        # doctest: +SKIP
        >>> probe(images), probe.names(images)                 # doctest: +SKIP
    """
    place = _the_only(run, step) if file is None else Path(file)
    about, arrays = _read(place)
    if checkpoints.fingerprint(run, about.step) != about.reading.weights:
        raise ValueError(
            f"restore_probe: {place} must be of the encoder of {os.fspath(run)}; got one that was "
            f"fitted to other weights of step {about.step}. Evaluate anew: jaxssl linear-eval."
        )
    return Probe(checkpoints.restore_encoder(run, about.step), about, **arrays)


def list_kept(run: str | os.PathLike, step: int | None = None) -> list[Path]:
    """The files of all probes of the newest step of a run that has any, or of a step."""
    found: dict[int, list[Path]] = {}
    for place in sorted(RunDirectory(Path(run)).evaluation.glob(f"step-*/*/*{SUFFIX}")):
        number = place.parts[-3].removeprefix("step-")
        if number.isdecimal() and step in (None, int(number)):
            found.setdefault(int(number), []).append(place)
    return found[max(found)] if found else []


def find(
    run: str | os.PathLike, described: Mapping, subject: Mapping, *, caller: str, fix: str
) -> Path:
    """The file of the probe of the same encoder, layer and images as a result.

    Args:
        run: run directory.
        described: what all evaluators say of the data (``preparation.protocol_of``).
        subject: the encoder and its step (``preparation.subject_of``).
        caller: who asks, for messages.
        fix: what makes such a probe, a sentence.

    Raises:
        ValueError: none is kept, or one of other images or that is damaged.
    """
    place = protocol.path(run, {**described, "evaluator": "linear"}, subject).with_suffix(SUFFIX)
    if not place.exists():
        raise ValueError(f"{caller}: a probe must be kept; got none at {place}. {fix}")
    about, _ = _read(place)
    names = ("train_fingerprint", "test_fingerprint")
    if any(about.protocol[name] != described[name] for name in names):
        raise ValueError(
            f"{caller}: the probe must be of these images; got {place} of others. {fix}"
        )
    return place


def _the_only(run: str | os.PathLike, step: int | None) -> Path:
    found = list_kept(run, step)
    if not found:
        of_step = "" if step is None else f" of step {step}"
        raise ValueError(
            f"restore_probe: {run} must hold a probe{of_step}; got none. jaxssl linear-eval {run} "
            "fits one."
        )
    if len(found) > 1:
        listed = ", ".join(str(place.relative_to(run)) for place in found)
        number = found[0].parts[-3].removeprefix("step-")
        raise ValueError(
            f"restore_probe: {run} must hold one probe of step {number}; got {listed}. "
            "Name the file of one."
        )
    return found[0]


def _read(place: Path) -> tuple[About, dict[str, np.ndarray]]:
    """What a file says and holds, if it is as it was written."""
    try:
        with safetensors.safe_open(place, framework="numpy") as opened:
            said = opened.metadata() or {}
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}
        if not {_HEADER, _DIGEST} <= said.keys() or arrays.keys() != set(_ARRAYS):
            raise ValueError("a file of something else")
        if said[_DIGEST] != _digest(said[_HEADER], arrays):
            raise ValueError("one whose sha256 is not that of its header")
        about = jsonable.from_json(About, jsonable.parse(said[_HEADER], "its header"))
    except (safetensors.SafetensorError, ValueError) as error:
        raise ValueError(
            f"restore_probe: {place} must be a probe, as it was written; got {error}. Delete it, "
            "and evaluate again: jaxssl linear-eval."
        ) from error
    return about, arrays


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _digest(header: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in _ARRAYS:
        digest.update(f"{arrays[name].shape}{arrays[name].dtype}".encode())
        digest.update(np.ascontiguousarray(arrays[name]))  # type: ignore[arg-type]
    return digest.hexdigest()
