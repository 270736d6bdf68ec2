"""Convolutions of maps, in the form that is fastest where they run.

GPUs and TPUs get XLA's convolution. On a CPU, XLA's convolution runs near the peak of a core on
wide maps and falls to a tenth of it or less on others; those are matrix products here. The choice
is made while the program is lowered for a platform, so that one traced program serves all, and it
depends on shapes alone.

Windows are ``[K, K', C, D]`` as in Flax, maps ``[B, H, W, C]``.
"""

import functools
from typing import Any

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.export import is_symbolic_dim

from jaxssl import collectives
from jaxssl.models import products
from jaxssl.types import Array

DIMENSIONS = ("NHWC", "HWIO", "NHWC")

# Lowest and highest padding of rows and of columns, in cells.
Padding = tuple[tuple[int, int], tuple[int, int]]


class Conv(nn.Conv):
    """``flax.linen.Conv`` by ``convolve``: same parameters, same initialisation, same result."""

    conv_general_dilated_cls: Any = lambda: _as_linen_calls_it


class GroupedConv(nn.Conv):
    """``flax.linen.Conv`` of groups by ``convolve_groups``: same parameters, same result."""

    conv_general_dilated_cls: Any = lambda: _grouped_as_linen_calls_it


def convolve_groups(x: Array, kernel: Array, *, groups: int) -> Array:
    """Cross-correlation of channels in groups that do not see each other; the map keeps its size.

    The sum over the taps of the window of products of matrices, one a group: XLA's CPU backend has
    no fast convolution of groups, and its partitioner divides none over a batch that is spread over
    devices, so that each would compute all of it.

    Args:
        x: [B, H, W, C], float32 or bfloat16.
        kernel: [K, K', C / groups, D], K and K' odd, of the same dtype.
        groups: how many; divides C and D.

    Returns:
        [B, H, W, D] in the dtype of ``x``; the sum over taps is float32.
    """
    height, width = x.shape[1:3]
    rows, columns = kernel.shape[:2]
    padded = jnp.pad(x, ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0)))
    padded = einops.rearrange(padded, "b h w (g c) -> b h w g c", g=groups)
    kernel = einops.rearrange(kernel, "i j c (g d) -> i j g c d", g=groups)
    total = jnp.zeros((), jnp.float32)
    for i, j in np.ndindex(rows, columns):
        window = padded[:, i : i + height, j : j + width]
        # In float32: not every CPU has a kernel for products of bfloat16, one a group.
        operands = window.astype(jnp.float32), kernel[i, j].astype(jnp.float32)
        total += jnp.einsum("bhwgc,gcd->bhwgd", *operands)
    return einops.rearrange(total, "b h w g d -> b h w (g d)").astype(x.dtype)


def convolve(x: Array, kernel: Array, *, strides: tuple[int, int], padding: Padding) -> Array:
    """Cross-correlation of maps with a kernel, one group, no dilation.

    y[b, r, s, d] = sum over i, j, c of x[b, r · strides[0] + i - padding[0][0], s · strides[1] + j
    - padding[1][0], c] · kernel[i, j, c, d], with x zero outside.

    On a CPU the form follows the shapes:

    * kernel 1 x 1: the cells that a stride keeps, as rows of one matrix product;
    * windows that tile the map (stride = size of the kernel, no padding): their pixels, likewise;
    * a map of no more cells than the kernel has taps: one product of whole maps, [H·W·C] to
      [H'·W'·D], by the matrix that the convolution is. It needs no more multiplications than
      the windows do, of which many lie in the padding; on a map of 1 x 1 only the centre tap works;
    * anything else: XLA's convolution; where a batch has many cells, the gradient of the kernel is
      summed over pieces of the batch, each an XLA convolution of its own.

    Args:
        x: [B, H, W, C], float32 or bfloat16.
        kernel: [K, K', C, D], of the same dtype.
        strides: cells between windows, down and across.
        padding: cells of zeros before and after, down and across.

    Returns:
        [B, H', W', D] in the dtype of ``x``; sums are float32.
    """
    form = _form(x.shape, kernel.shape, strides, padding)
    if form is None:
        return _by_xla(x, kernel, strides, padding)

    # Called while differentiating too: each platform then has the gradient of its own form.
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: form(x, kernel, strides, padding),
        default=lambda x, kernel: _by_xla(x, kernel, strides, padding),
    )


def _form(shape, kernel_shape, strides, padding):
    """What a CPU should take instead of XLA's convolution and its gradients, or None."""
    size, cells = kernel_shape[:2], shape[1:3]
    is_padded = padding != ((0, 0), (0, 0))
    if size == tuple(strides) and not is_padded and min(cells) >= max(size):
        return _by_tiles
    if size == (1, 1) and not is_padded:
        return _by_cells
    if cells[0] * cells[1] <= size[0] * size[1]:
        return _by_whole_maps
    if _num_pieces(shape, kernel_shape, strides) > 1:
        return _by_xla_in_pieces
    return None


def _by_xla(x, kernel, strides, padding):
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=DIMENSIONS)


def _by_cells(x, kernel, strides, padding):
    """A 1 x 1 kernel."""
    del padding
    return _product(x[:, :: strides[0], :: strides[1]], kernel[0, 0])


def _by_tiles(x, kernel, strides, padding):
    """Windows side by side; a remainder at the border is left out."""
    del strides, padding
    height, width = kernel.shape[:2]
    rows, columns = x.shape[1] // height, x.shape[2] // width
    x = x[:, : rows * height, : columns * width]
    tiles = einops.rearrange(x, "b (r h) (c w) d -> b r c (h w d)", h=height, w=width)
    return _product(tiles, einops.rearrange(kernel, "h w d f -> (h w d) f"))


def _by_whole_maps(x, kernel, strides, padding):
    """The convolution as the one matrix [H·W·C, H'·W'·D] that it is."""
    batch, height, width, channels = x.shape
    features = kernel.shape[3]
    down = _taps(height, kernel.shape[0], strides[0], padding[0])  # [H, H', K]
    across = _taps(width, kernel.shape[1], strides[1], padding[1])  # [W, W', K']
    rows, columns = down.shape[1], across.shape[1]
    matrix = jnp.einsum("hri,wsj,ijcd->hwcrsd", down, across, kernel.astype(jnp.float32))
    matrix = matrix.astype(kernel.dtype).reshape(height * width * channels, -1)
    return _product(x.reshape(batch, -1), matrix).reshape(batch, rows, columns, features)


def _taps(cells, size, stride, padding):
    """Which tap of the window of an output cell lies on an input cell: 0 or 1, [in, out, size]."""
    num_out = (cells + sum(padding) - size) // stride + 1
    position = np.arange(num_out)[:, None] * stride + np.arange(size) - padding[0]  # [out, size]
    return (np.arange(cells)[:, None, None] == position).astype(np.float32)


def _num_pieces(shape, kernel_shape, strides):
    """How many pieces of the batch the gradient of the kernel is summed over."""
    if is_symbolic_dim(shape[0]):
        return 1  # exported for batches of any size
    if kernel_shape[3] < 32:
        return (
            1  # few columns of a product: the whole sum runs at 46 to 69, pieces of it at 33 to 44
        )
    # Its inner sum runs over all cells of the result. XLA's convolution does 13 to 65 GFLOP/s a
    # core when they are 16,384 and more, 74 to 88 when they are some 2,000. 16 bounds the program.
    # benchmarks/convolution.py prints such figures.
    cells = shape[0] * shape[1] * shape[2] // (strides[0] * strides[1])
    return max(1, min(16, shape[0], cells // 2048))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _by_xla_in_pieces(x, kernel, strides, padding):
    return _by_xla(x, kernel, strides, padding)


def _pieces_forward(x, kernel, strides, padding):
    return _by_xla(x, kernel, strides, padding), (x, kernel)


def _pieces_backward(strides, padding, saved, cotangent):
    x, kernel = saved

    @jax.custom_batching.custom_vmap
    def to_kernel(x, cotangent):
        size = -(-len(x) // _num_pieces(x.shape, kernel.shape, strides))
        # Not a scan: convolutions inside one are forty times slower.
        return sum(
            _kernel_gradient(
                x[i : i + size], cotangent[i : i + size], kernel.shape, strides, padding
            )
            for i in range(0, len(x), size)
        )

    @to_kernel.def_vmap
    def of_each_view(num_views, batched, x, cotangent):
        # The general rule would make a grouped convolution, which is slow on a CPU.
        each = [
            to_kernel(x[i] if batched[0] else x, cotangent[i] if batched[1] else cotangent)
            for i in range(num_views)
        ]
        return jnp.stack(each), True

    to_x = jax.linear_transpose(lambda x: _by_xla(x, kernel, strides, padding), x)
    of_kernel = to_kernel(x, cotangent).astype(kernel.dtype)
    return *to_x(cotangent), collectives.psum_as(of_kernel, kernel)


def _kernel_gradient(x, cotangent, shape, strides, padding):
    """XLA's own gradient of a kernel: the cotangent, spread by the strides, slides over the map."""
    ends = [
        (low, (num_out - 1) * stride + size - cells - low)
        for (low, _), num_out, stride, size, cells in zip(
            padding, cotangent.shape[1:3], strides, shape, x.shape[1:3]
        )
    ]
    return lax.conv_general_dilated(
        x,
        cotangent,
        (1, 1),
        ends,
        rhs_dilation=strides,
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
        preferred_element_type=jnp.float32,
    )


_by_xla_in_pieces.defvjp(_pieces_forward, _pieces_backward)


def _product(x, matrix):
    """x · matrix over the last axis of x, in the dtype of x."""
    return products.affine(x, matrix.astype(jnp.float32), None)


def _as_linen_calls_it(x, kernel, strides, padding, **options):
    """``convolve`` with the signature of ``lax.conv_general_dilated``, whatever linen asks for."""
    dilated = any(d != 1 for d in (*options["lhs_dilation"], *options["rhs_dilation"]))
    grouped, precise = options["feature_group_count"] != 1, options["precision"] is not None
    if x.ndim != 4 or dilated or grouped or precise:
        return lax.conv_general_dilated(x, kernel, strides, padding, **options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    padding = tuple(tuple(pair) for pair in padding)
    return convolve(x, kernel, strides=tuple(strides), padding=padding)


def _grouped_as_linen_calls_it(x, kernel, strides, padding, **options):
    """``convolve_groups`` with the signature of ``lax.conv_general_dilated``."""
    del strides, padding
    return convolve_groups(x, kernel, groups=options["feature_group_count"])
