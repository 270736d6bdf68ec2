"""Which leaves of an encoder and which tensors of a file hold the same numbers, and how they turn.

A layout is a list of ties. Each is read and written by moves of numbers alone, transposed, joined
or cut, so that what was read is written again bit for bit.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import einops
import numpy as np

Arrays = Sequence[np.ndarray]


class Tie(NamedTuple):
    """Leaves and tensors of the same numbers.

    Attributes:
        leaves: paths in the encoder's variables, "params/norm/scale".
        tensors: names in the file, "norm.weight".
        read: tensors to leaves.
        write: leaves to tensors.
    """

    leaves: tuple[str, ...]
    tensors: tuple[str, ...]
    read: Callable[[Arrays], Arrays]
    write: Callable[[Arrays], Arrays]


def same(leaf: str, tensor: str) -> Tie:
    """One leaf that is one tensor as it stands."""
    return Tie((leaf,), (tensor,), list, list)


def linear(module: str, name: str) -> Iterator[Tie]:
    """A linear map: kernel [in, out] is weight [out, in]."""
    yield Tie((f"params/{module}/kernel",), (f"{name}.weight",), _transposed, _transposed)
    yield same(f"params/{module}/bias", f"{name}.bias")


def pointwise(module: str, name: str) -> Iterator[Tie]:
    """A linear map that the file has as a convolution 1x1: weight [out, in, 1, 1]."""
    yield Tie(
        (f"params/{module}/kernel",),
        (f"{name}.weight",),
        lambda found: [found[0][:, :, 0, 0].T],
        lambda leaves: [leaves[0].T[:, :, None, None]],
    )
    yield same(f"params/{module}/bias", f"{name}.bias")


def joined(module: str, names: Sequence[str], unbiased: Sequence[str] = ()) -> Iterator[Tie]:
    """A linear map that the file has in parts of equal size, such as queries, keys and values.

    Args:
        module: path of the map.
        names: of the parts, in order; one of them is the whole map.
        unbiased: those of the parts that have no bias in the file; there it must be 0 here.
    """
    count = len(names)
    yield Tie(
        (f"params/{module}/kernel",),
        tuple(f"{name}.weight" for name in names),
        lambda found: [np.concatenate([each.T for each in found], axis=1)],
        lambda leaves: [each.T for each in np.split(leaves[0], count, axis=1)],
    )
    biased = [index for index, name in enumerate(names) if name not in unbiased]

    def read(found: Arrays) -> Arrays:
        parts = [np.zeros_like(found[0])] * count
        for index, part in zip(biased, found, strict=True):
            parts[index] = part
        return [np.concatenate(parts)]

    def write(leaves: Arrays) -> Arrays:
        parts = np.split(leaves[0], count)
        if any(part.any() for index, part in enumerate(parts) if index not in biased):
            raise ValueError(
                f"{module}: the bias of {', '.join(unbiased)} must be 0 for this layout, which has "
                "none; got another, which training has learned. Export to safetensors or stablehlo."
            )
        return [parts[index] for index in biased]

    yield Tie(
        (f"params/{module}/bias",), tuple(f"{names[index]}.bias" for index in biased), read, write
    )


def convolution(module: str, name: str, *, bias: bool = True) -> Iterator[Tie]:
    """A convolution: kernel [h, w, in, out] is weight [out, in, h, w]."""
    yield Tie(
        (f"params/{module}/kernel",),
        (f"{name}.weight",),
        lambda found: [found[0].transpose(2, 3, 1, 0)],
        lambda leaves: [leaves[0].transpose(3, 2, 0, 1)],
    )
    if bias:
        yield same(f"params/{module}/bias", f"{name}.bias")


def patches(module: str, name: str, patch_size: int) -> Iterator[Tie]:
    """The embedding of patches: kernel [(row column channel), D] is weight [D, channel, p, p]."""

    def write(leaves: Arrays) -> Arrays:
        pattern = "(row column channel) d -> d channel row column"
        return [einops.rearrange(leaves[0], pattern, row=patch_size, column=patch_size)]

    yield Tie(
        (f"params/{module}/kernel",),
        (f"{name}.weight",),
        lambda found: [einops.rearrange(found[0], "d c p q -> (p q c) d")],
        write,
    )
    yield same(f"params/{module}/bias", f"{name}.bias")


def norm(module: str, name: str) -> Iterator[Tie]:
    """Scale and bias of a normalisation."""
    yield same(f"params/{module}/scale", f"{name}.weight")
    yield same(f"params/{module}/bias", f"{name}.bias")


def batch_norm(module: str, name: str) -> Iterator[Tie]:
    """The same, with its running statistics."""
    yield from norm(module, name)
    yield same(f"batch_stats/{module}/mean", f"{name}.running_mean")
    yield same(f"batch_stats/{module}/var", f"{name}.running_var")


def constant(tensor: str, value: np.ndarray) -> Tie:
    """A tensor that the file must have and the encoder computes: a fixed table, a zero."""
    return Tie((), (tensor,), lambda found: [], lambda leaves: [value])


def _transposed(arrays: Arrays) -> Arrays:
    return [array.T for array in arrays]
