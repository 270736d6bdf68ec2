"""Frozen features of a whole split: of an encoder, of raw pixels, of their principal components."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from jaxssl import parallel
from jaxssl.types import Array, Features, PyTree


class FeatureSet(NamedTuple):
    """Features of one split, on the host.

    Attributes:
        pooled: float32 [N, D].
        stages: float32 [N, D_stage] after each stage or block; empty for pixels and PCA.
        labels: int32 [N], or None where the data set has none.
    """

    pooled: np.ndarray
    stages: tuple[np.ndarray, ...]
    labels: np.ndarray | None

    def layer(self, stage: int | None) -> np.ndarray:
        """The pooled features, or those of one stage (negative numbers count from the last).

        Raises:
            ValueError: no such stage.
        """
        if stage is None:
            return self.pooled
        if not -len(self.stages) <= stage < len(self.stages):
            raise ValueError(
                f"stage: must be a stage of the encoder, 0 to {len(self.stages) - 1}; got {stage}."
            )
        return self.stages[stage]


def extract(
    apply: Callable[[PyTree, Array], Features],
    variables: PyTree,
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    batch_size: int,
) -> FeatureSet:
    """Runs an encoder over all batches, on all local devices, in one compilation.

    Args:
        apply: (variables, images uint8 [B, H, W, C]) to Features, in eval mode: with batch norm in
            training mode the features of an image would depend on its neighbours.
        variables: of the encoder; an argument, so that they are not compiled into the program.
        batches: ``{"image": uint8 [B, H, W, C], "label": int32 [B]}``, label optional, B at most
            ``batch_size``; shorter batches are padded with zeros, whose features are dropped.
        batch_size: rows of the compiled batch; rounded up to a multiple of the local devices.

    Returns:
        The features in the order of the batches.
    """
    devices = jax.local_devices()
    rows = -(-batch_size // len(devices)) * len(devices)
    mesh = parallel.mesh(devices=devices)
    sharding = jax.sharding.NamedSharding(mesh, jax.P("data"))

    @jax.jit
    def forward(variables: PyTree, images: Array) -> tuple[Array, tuple[Array, ...]]:
        features = apply(variables, images)
        return features.pooled, features.stages

    variables = jax.device_put(variables, parallel.replicated(devices))
    collected, labels = [], []
    in_flight = None  # one batch is computed while the one before it is read back

    def collect():
        if in_flight is not None:
            output, count = in_flight
            collected.append(jax.tree.map(lambda x: np.asarray(x)[:count], output))

    for batch in batches:
        images = batch["image"]
        padding = [(0, rows - len(images)), *[(0, 0)] * (images.ndim - 1)]
        output = forward(variables, jax.device_put(np.pad(images, padding), sharding))
        collect()
        in_flight = output, len(images)
        labels.append(batch.get("label"))
    collect()
    pooled, stages = jax.tree.map(lambda *parts: np.concatenate(parts), *collected)
    return FeatureSet(pooled, stages, _joined(labels))


def pixels(batches: Iterable[Mapping[str, np.ndarray]]) -> FeatureSet:
    """Raw pixels as features: float32 [N, H·W·C] in [0, 1]."""
    images, labels = zip(*((batch["image"], batch.get("label")) for batch in batches))
    rows = np.concatenate(images)
    values = rows.reshape(len(rows), -1).astype(np.float32) / 255
    return FeatureSet(values, (), _joined(labels))


def pca(train: FeatureSet, test: FeatureSet, num_components: int) -> tuple[FeatureSet, FeatureSet]:
    """Projects both splits on the first principal components of the training split.

    Args:
        train: what the components are fitted on, mean-centred, in float64.
        test: projected with the same mean and components.
        num_components: features of the result; at most as many as there are.

    Returns:
        Train and test features [N, min(num_components, D)], components by falling variance.
    """
    mean = train.pooled.mean(axis=0, dtype=np.float64)
    centred = train.pooled - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    components = vectors[:, ::-1][:, :num_components]

    def project(features: FeatureSet) -> FeatureSet:
        values = ((features.pooled - mean) @ components).astype(np.float32)
        return FeatureSet(values, (), features.labels)

    return project(train), project(test)


def _joined(labels: Iterable[np.ndarray | None]) -> np.ndarray | None:
    labels = list(labels)
    return None if labels[0] is None else np.concatenate(labels)
