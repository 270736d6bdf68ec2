"""What the layouts of Vision Transformers have in common: their parts, under other names."""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from jaxssl import inputs
from jaxssl.interop import ties
from jaxssl.interop.layout import Guess, Tensors
from jaxssl.interop.ties import Tie
from jaxssl.models import ViTConfig, sincos_positions
from jaxssl.models.vit import SIZES, Dimensions

# Heads by width, as published, since no shape says them; 64 features a head else.
HEADS = {dimensions.width: dimensions.num_heads for dimensions in SIZES.values()}
LAYER_SCALE = 1e-5  # a file holds what the factors became, not what they began with


class Names(NamedTuple):
    """What the parts of a ViT are called in a file; those of a block below its own name.

    Attributes:
        patches: the embedding of patches, a convolution.
        block: of a block, with {} for its number.
        norm1: before attention.
        qkv: queries, keys and values: one linear map, or three.
        proj: behind attention.
        scale1: factors of the branch; None where there never are any.
        norm2: before the hidden layer.
        mlp: into the hidden layer, one map; and out of it.
        gated: into the hidden layer of SwiGLU, one map or two, the gate first; and out of it.
        scale2: factors of the branch.
        norm: behind the last block.
        class_token: [1, 1, D].
        registers: [1, R, D]; None where there never are any.
        position: [1, N, D] or [1, 1 + N, D]; None of rotary positions, which have no weights.
        class_row: whether the table of positions begins with a row for the class token.
        unbiased: of ``qkv`` those without a bias.
    """

    patches: str
    block: str
    norm1: str
    qkv: tuple[str, ...]
    proj: str
    scale1: str | None
    norm2: str
    mlp: tuple[str, str]
    gated: tuple[tuple[str, ...], str] | None
    scale2: str | None
    norm: str
    class_token: str = "cls_token"
    registers: str | None = None
    position: str | None = "pos_embed"
    class_row: bool = True
    unbiased: tuple[str, ...] = ()


def guess(tensors: Tensors, names: Names, *, norm_epsilon: float = 1e-6) -> Guess:
    """What the shapes of a file's tensors say of its ViT; heads by its width.

    Args:
        tensors: of a file of this layout.
        names: of its parts.
        norm_epsilon: of the published models of this layout.

    Raises:
        KeyError: tensors of another layout.
        ValueError: a table of positions that is no square.
    """
    width, channels, patch_size, _ = tensors[f"{names.patches}.weight"].shape
    pattern = re.escape(f"{names.block}.{names.norm1}.weight").replace(r"\{\}", r"\d+")
    depth = sum(re.fullmatch(pattern, name) is not None for name in tensors)
    pool: Literal["class", "mean"] = "class" if names.class_token in tensors else "mean"
    registers = None if names.registers is None else tensors.get(names.registers)
    first = names.block.format(0)
    config = ViTConfig(
        **_named_size(Dimensions(width, depth, HEADS.get(width, max(width // 64, 1)))),
        patch_size=patch_size,
        pool=pool,
        position="rope" if names.position is None else "learned",
        num_registers=0 if registers is None else registers.shape[1],
        layer_scale=LAYER_SCALE if f"{first}.{names.scale1}" in tensors else None,
        mlp=_kind_of_mlp(tensors, names),
        norm_epsilon=norm_epsilon,
    )
    if names.position is None:
        return Guess(config, None, channels)
    table = tensors[names.position]
    has_row = pool == "class" and names.class_row
    side = math.isqrt(table.shape[1] - has_row)
    if side**2 != table.shape[1] - has_row or side == 0:
        raise ValueError(
            f"{names.position}: must have a row for each patch of a square image; got "
            f"{table.shape[1]} rows{', one of them of the class token' * has_row}."
        )
    found = Guess(config, side * patch_size, channels)
    # Most fixed tables are those of MAE, and then jaxssl's own, which fit any size of image.
    if width % 4 == 0 and np.array_equal(table, _fixed_table(side, width, has_row)):
        return found._replace(config=dataclasses.replace(config, position="sincos"))
    return found


def list_ties(config: ViTConfig, fed: inputs.Inputs, names: Names) -> Iterator[Tie]:
    """The ties of all leaves of a ViT.

    Raises:
        ValueError: a ViT that files of these names cannot say.
    """
    _check(config, names)
    yield from ties.patches("patch_embedding", names.patches, config.patch_size)
    yield from _tokens(config, names)
    if names.position is not None:
        side = fed[0].shape[0] // config.patch_size
        yield _positions(config, side, names.position, has_row=names.class_row)
    for index in range(config.dimensions.depth):
        ours, theirs = f"block_{index}", names.block.format(index)
        yield from ties.norm(f"{ours}/norm1", f"{theirs}.{names.norm1}")
        qkv = [f"{theirs}.{name}" for name in names.qkv]
        unbiased = [f"{theirs}.{name}" for name in names.unbiased]
        yield from ties.joined(f"{ours}/attention/qkv", qkv, unbiased)
        yield from ties.linear(f"{ours}/attention/proj", f"{theirs}.{names.proj}")
        yield from ties.norm(f"{ours}/norm2", f"{theirs}.{names.norm2}")
        plain = ((names.mlp[0],), names.mlp[1])
        into, out = names.gated if config.mlp == "swiglu" and names.gated else plain
        yield from ties.joined(f"{ours}/mlp_in", [f"{theirs}.{name}" for name in into])
        yield from ties.linear(f"{ours}/mlp_out", f"{theirs}.{out}")
        if config.layer_scale is not None:
            yield ties.same(f"params/{ours}/layer_scale1", f"{theirs}.{names.scale1}")
            yield ties.same(f"params/{ours}/layer_scale2", f"{theirs}.{names.scale2}")
    yield from ties.norm("norm", names.norm)


def _check(config: ViTConfig, names: Names) -> None:
    """Refuses what files of these names cannot say."""
    lacking = {
        "layer_scale": config.layer_scale is not None and names.scale1 is None,
        "num_registers": config.num_registers > 0 and names.registers is None,
        "mlp": config.mlp == "swiglu" and names.gated is None,
        "position": (config.position == "rope") != (names.position is None),
        "scan_layers": config.scan_layers,
        "causal": config.causal,
    }
    for field, is_lacking in lacking.items():
        if is_lacking:
            raise ValueError(
                f"ViT: {field} must be another for this layout; got "
                f"{getattr(config, field)!r}, which it has no names for."
            )


def _tokens(config: ViTConfig, names: Names) -> Iterator[Tie]:
    """Class token and registers."""
    if config.pool == "class":
        if config.position == "learned" and not names.class_row:
            # What the class token gets as its position is part of it.
            yield Tie(
                ("params/class_token", "params/class_position"),
                (names.class_token,),
                lambda found: [found[0], np.zeros_like(found[0])],
                lambda leaves: [np.where(leaves[1] == 0, leaves[0], leaves[0] + leaves[1])],
            )
        else:
            yield ties.same("params/class_token", names.class_token)
    if config.num_registers and names.registers is not None:
        yield ties.same("params/registers", names.registers)


def _positions(config: ViTConfig, side: int, name: str, *, has_row: bool) -> Tie:
    """The table of positions, of a square image; ``has_row`` where a class token has one in it."""
    width = config.dimensions.width
    has_row = config.pool == "class" and has_row
    if config.position == "sincos":
        table = _fixed_table(side, width, has_row, reference=config.position_grid)
        return ties.constant(name, table)
    if not has_row:
        return Tie(
            ("params/position",),
            (name,),
            lambda found: [found[0].reshape(side, side, width)],
            lambda leaves: [leaves[0].reshape(1, -1, width)],
        )
    return Tie(
        ("params/class_position", "params/position"),
        (name,),
        lambda found: [found[0][:, :1], found[0][:, 1:].reshape(side, side, width)],
        lambda leaves: [np.concatenate([leaves[0], leaves[1].reshape(1, -1, width)], axis=1)],
    )


def _fixed_table(
    side: int, width: int, has_row: bool, *, reference: int | None = None
) -> np.ndarray:
    """jaxssl's own table, float32 [1, N, D] or [1, 1 + N, D]; the class token's row is 0."""
    table = sincos_positions(side, side, width, reference=reference)
    return np.pad(table, ((int(has_row), 0), (0, 0)))[None]


def _kind_of_mlp(tensors: Tensors, names: Names) -> Literal["gelu", "swiglu"]:
    """ "swiglu" where two features go into each hidden one."""
    first = names.block.format(0)
    if names.gated is None:
        return "gelu"
    into, out = names.gated
    weights = [tensors.get(f"{first}.{name}.weight") for name in into]
    there = [weight for weight in weights if weight is not None]
    if len(there) < len(weights):
        return "gelu"
    num_hidden = tensors[f"{first}.{out}.weight"].shape[1]
    return "swiglu" if sum(map(len, there)) == 2 * num_hidden else "gelu"


def _named_size(dimensions: Dimensions) -> dict:
    """Fields of a config: the name of a published size, or the numbers of another."""
    for name, known in SIZES.items():
        if dimensions == known:
            return {"size": name}
    return dimensions._asdict()
