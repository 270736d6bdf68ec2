"""How much of a probe's accuracy is left when test images are corrupted, or turned."""

import dataclasses
import os
from collections.abc import Iterator, Mapping

import numpy as np

from jaxssl import checks, data, inputs
from jaxssl.evaluation import accuracy, corruptions, kept_probe


@dataclasses.dataclass(frozen=True)
class RobustnessConfig:
    """The robustness protocol.

    Attributes:
        kinds: of corruption, by name.
        noise_seed: of what is random in them.
    """

    kinds: tuple[str, ...] = tuple(corruptions.ALL)
    noise_seed: int = 0

    def __post_init__(self):
        for kind in self.kinds:
            checks.choice(self, corruptions.ALL, kinds=kind)
        checks.in_range(self, 0, 2**32, "noise_seed", open_right=True)

    def strengths(self) -> dict:
        """Strengths and their unit by kind, for a protocol."""
        return {
            kind: {"strengths": list(each.strengths), "unit": each.unit}
            for kind, each in ((kind, corruptions.ALL[kind]) for kind in self.kinds)
        }


def find_probe(run: str | os.PathLike, described: Mapping, subject: Mapping) -> kept_probe.Probe:
    """The kept probe of what is evaluated.

    Args:
        run: run directory.
        described: what all evaluators say of the data (``Prepared.protocol``).
        subject: what is evaluated (``Prepared.subject``).

    Raises:
        ValueError: an encoder whose probe is not kept, none that is, or one of other data.
    """
    if subject["encoder"] != "trained":
        raise ValueError(
            "robustness: the encoder must be trained, whose probe is kept; got "
            f"{subject['encoder']}. Name --encoders trained."
        )
    fix = "Evaluate linear before it: --evaluators linear robustness."
    place = kept_probe.find(run, described, subject, caller="robustness", fix=fix)
    return kept_probe.restore_probe(run, place)


def evaluate(probe: kept_probe.Probe, source: data.Source, config: RobustnessConfig) -> dict:
    """Accuracies of a probe on images as they are, and under every corruption at every strength.

    Args:
        probe: of images.
        source: labelled test images, in the shape that its encoder is fed.
        config: the protocol.

    Returns:
        ``{"clean": {"accuracy", "half_width"}, "kinds": {kind: [{"strength", "accuracy",
        "half_width"}, …]}, "mean_accuracy": …}``, the mean over all strengths of all corruptions
        that were asked for, rotation apart; None without any.

    Raises:
        ValueError: an encoder that is fed no images.
    """
    if inputs.image_side(probe.encoder.inputs) is None:
        fed = ", ".join(each.name for each in probe.encoder.inputs)
        raise ValueError(
            f"robustness: the encoder must be fed one square image; got {fed}. There is nothing to "
            "corrupt."
        )

    def measured(kind: str | None, strength: float | None) -> dict:
        labels: list[np.ndarray] = []
        batches = _corrupted(probe, source, kind, strength, config.noise_seed, labels)
        predictions = probe.predict_batches(batches, len(source))
        right = float(np.mean(predictions == np.concatenate(labels)))
        return {"accuracy": right, "half_width": accuracy.half_width(right, len(source))}

    kinds = {
        kind: [
            {"strength": strength, **measured(kind, strength)}
            for strength in corruptions.ALL[kind].strengths
        ]
        for kind in config.kinds
    }
    corrupted = [
        each["accuracy"]
        for kind, results in kinds.items()
        if kind in corruptions.CORRUPTIONS
        for each in results
    ]
    return {
        "clean": measured(None, None),
        "kinds": kinds,
        "mean_accuracy": float(np.mean(corrupted)) if corrupted else None,
    }


def _corrupted(
    probe: kept_probe.Probe,
    source: data.Source,
    kind: str | None,
    strength: float | None,
    seed: int,
    labels: list[np.ndarray],
) -> Iterator[dict[str, np.ndarray]]:
    """Batches of corrupted images; puts their labels into a list on the way."""
    first = 0
    for batch in data.batches(source, probe.batch_size):
        labels.append(batch["label"])
        images = batch["image"]
        if kind is not None and strength is not None:
            rows = np.arange(first, first + len(images), dtype=np.int32)
            images = np.asarray(corruptions.corrupt(kind, images, rows, strength, seed))
        first += len(images)
        yield {"image": images}
