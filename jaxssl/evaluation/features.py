"""From images to the feature vectors that every evaluator reads: encoder, raw pixels or PCA."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxssl import types


class FeatureSet(NamedTuple):
    """Features of one split, on the host, in the order of its batches.

    Attributes:
        pooled: [N, D] float32, one vector per image.
        stages: one [N, D_stage] float32 array per stage of the encoder; may be empty.
        labels: [N] int32, or None where the batches carry none.
    """

    pooled: np.ndarray
    stages: tuple[np.ndarray, ...]
    labels: np.ndarray | None


def frozen(module: object, variables: types.PyTree) -> Callable[[jax.Array], types.Features]:
    """Binds an encoder and its variables into the function that ``extract`` applies.

    ``train=False`` is fixed here: BatchNorm uses its running statistics, nothing is dropped, so
    that a feature depends on its own image only. The variables stay arguments of the compiled
    program instead of constants inside it.

    Args:
        module: linen encoder, called as ``module.apply(variables, images, train=False)``.
        variables: its variables, as a checkpoint restores them.

    Returns:
        Function of images [B, H, W, C] giving types.Features.
    """

    def apply(variables: types.PyTree, images: jax.Array) -> types.Features:
        return module.apply(variables, images, train=False)

    return jax.tree_util.Partial(apply, variables)


def extract(
    apply: Callable[[jax.Array], types.Features],
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    batch_size: int,
    devices: Sequence[jax.Device] | None = None,
) -> FeatureSet:
    """Applies a frozen encoder to every batch; one compilation, all local devices.

    A batch shorter than ``batch_size`` is filled with black images, whose features are dropped.
    Each batch is split evenly over the devices; where ``batch_size`` is not a multiple of their
    number the first device does all. Neither changes a feature, since an encoder in evaluation
    mode treats images one by one.

    Args:
        apply: encoder in evaluation mode, [B, H, W, C] uint8 → types.Features; best made by
            ``frozen``.
        batches: mappings with "image" [≤ batch_size, H, W, C] and optionally "label".
        batch_size: B, rows of the compiled program.
        devices: local devices to use; all of them by default.

    Returns:
        FeatureSet in the order of the batches.

    Raises:
        ValueError: no batch at all, or a batch larger than ``batch_size``.
    """
    devices = list(jax.local_devices() if devices is None else devices)
    if batch_size % len(devices):
        devices = devices[:1]
    mesh = Mesh(np.array(devices), ("data",))
    if not isinstance(apply, jax.tree_util.Partial):
        apply = jax.tree_util.Partial(apply)
    apply = jax.device_put(apply, NamedSharding(mesh, PartitionSpec()))
    split = NamedSharding(mesh, PartitionSpec("data"))

    collected, labels, pending = [], [], None
    for batch in batches:
        image = np.asarray(batch["image"])
        num = len(image)
        if num > batch_size:
            raise ValueError(
                f"features.extract: a batch must have at most batch_size = {batch_size} images; "
                f"got {num}. Pass the batch size that the batches were made with."
            )
        if num < batch_size:
            image = np.concatenate(
                [image, np.zeros((batch_size - num, *image.shape[1:]), image.dtype)]
            )
        output = _vectors(apply, jax.device_put(image, split))
        # One batch runs on the device while the one before it is copied to the host.
        if pending is not None:
            collected.append(_to_host(*pending))
        pending = (output, num)
        if "label" in batch:
            labels.append(np.asarray(batch["label"], np.int32))
    if pending is None:
        raise ValueError(
            "features.extract: batches must hold at least one batch; got none. "
            "The data source may be empty or the iterator already used up."
        )
    collected.append(_to_host(*pending))
    pooled, *stages = (np.concatenate(parts) for parts in zip(*collected))
    return FeatureSet(pooled, tuple(stages), np.concatenate(labels) if labels else None)


def pixels(batches: Iterable[Mapping[str, np.ndarray]]) -> FeatureSet:
    """The images themselves as features: what an encoder has to beat.

    Args:
        batches: mappings with "image" uint8 [B, H, W, C] and optionally "label".

    Returns:
        FeatureSet with pooled [N, H·W·C] in [0, 1] and no stages.

    Raises:
        ValueError: no batch at all.
    """
    images, labels = [], []
    for batch in batches:
        image = np.asarray(batch["image"])
        images.append(image.reshape(len(image), -1).astype(np.float32) / np.float32(255))
        if "label" in batch:
            labels.append(np.asarray(batch["label"], np.int32))
    if not images:
        raise ValueError(
            "features.pixels: batches must hold at least one batch; got none. "
            "The data source may be empty or the iterator already used up."
        )
    return FeatureSet(np.concatenate(images), (), np.concatenate(labels) if labels else None)


def pca(train: np.ndarray, test: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Projects both splits on the leading principal components of the training split.

    Mean and components come from ``train`` alone, in float64, through the eigenvectors of the
    covariance. The components are not whitened, and each is signed so that its largest entry is
    positive, which makes the result the same everywhere.

    Args:
        train: [N, D] real.
        test: [N', D] real.
        dim: number of components to keep, at most min(N, D).

    Returns:
        [N, dim] and [N', dim] float32.

    Raises:
        ValueError: ``dim`` out of range, or unequal D.
    """
    if not 1 <= dim <= min(train.shape):
        raise ValueError(
            f"features.pca: dim must lie in [1, {min(train.shape)}], the smaller side of the "
            f"training features {train.shape}; got {dim}. Keep fewer components."
        )
    if test.shape[1] != train.shape[1]:
        raise ValueError(
            f"features.pca: test features must have the training features' {train.shape[1]} "
            f"columns; got {test.shape[1]}. Extract both with the same encoder."
        )
    mean = train.mean(axis=0, dtype=np.float64)
    centred = train - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    vectors = vectors[:, : -dim - 1 : -1]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(dim)]
    vectors = vectors * np.sign(largest)
    return (centred @ vectors).astype(np.float32), ((test - mean) @ vectors).astype(np.float32)


@jax.jit
def _vectors(
    apply: Callable[[jax.Array], types.Features], images: jax.Array
) -> tuple[jax.Array, ...]:
    output = apply(images)
    return tuple(value.astype("float32") for value in (output.pooled, *output.stages))


def _to_host(output: tuple[jax.Array, ...], num: int) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(value)[:num] for value in output)
