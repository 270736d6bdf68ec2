"""In what an encoder is not that of published weights, and what to type so that it is."""

import dataclasses
import math
from typing import NamedTuple

import jax

from jaxssl import inputs, models, named
from jaxssl.interop import layout
from jaxssl.models import names
from jaxssl.types import EncoderConfig

_KINDS = (models.ResNetConfig, models.ViTConfig, models.ConvNeXtConfig)
_MAX_NAMED = 3
# Fields of an encoder that change none of its leaves, and nothing that is computed with them; its
# size is in its ``dimensions``, its mean and deviation are looked at apart.
_FREE = {
    "size", "width", "depths", "dims", "initialization", "zero_init_residual", "layer_scale_init",
    "position_grid", "library_attention", "scan_layers", "remat", "dtype", "mean", "std",
}  # fmt: skip


class Fed(NamedTuple):
    """An encoder, and the channels of the images that it is fed."""

    config: EncoderConfig
    channels: int


def check_kind(config: EncoderConfig, caller: str) -> None:
    """Refuses an encoder that no published weights are for; a ValueError."""
    if not isinstance(config, _KINDS):
        raise ValueError(
            f"{caller}: the recipe's encoder must be a ResNet, ViT or ConvNeXt; got a "
            f"{named.short(config)}. Leave them out, or choose a method of images alone."
        )


def check(ours: Fed, theirs: Fed, caller: str) -> None:
    """Refuses weights of another encoder.

    Args:
        ours: the encoder that is to have them.
        theirs: the one that they are of.
        caller: what the message begins with.

    Raises:
        ValueError: names the first leaves that differ, or where there are none the fields, and the
            options that make the one the other.
    """
    differing = _differing_leaves(ours, theirs) or [
        f"{name} {_value(ours.config, name)}, there {_value(theirs.config, name)}"
        for name in _differing_fields(ours.config, theirs.config)
    ]
    if not differing:
        return
    more = len(differing) - _MAX_NAMED
    shown = "; ".join(differing[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
    options = _options(ours.config, theirs.config)
    if ours.channels != theirs.channels:
        options.append(f"--data.channels {theirs.channels}")
    raise ValueError(
        f"{caller}: must be of the recipe's encoder; differing: {shown}. Set {' '.join(options)}."
    )


def _differing_leaves(ours: Fed, theirs: Fed) -> list[str]:
    """Parameters whose shapes differ, those before and behind the blocks first."""
    # A side that both can cut into patches; a table of positions is resized to any.
    cells = (getattr(config, "patch_size", 1) for config, _ in (ours, theirs))
    stems = (getattr(config, "stem_patch", 1) for config, _ in (ours, theirs))
    size = 32 * math.lcm(*cells, *stems)
    mine, other = (_shapes(config, size, channels) for config, channels in (ours, theirs))
    return [
        f"{path} {mine.get(path, 'missing')}, there {other.get(path, 'missing')}"
        for path in sorted({*mine, *other}, key=lambda path: (path.count("/"), path))
        if mine.get(path) != other.get(path)
    ]


def _shapes(config: EncoderConfig, size: int, channels: int) -> dict[str, str]:
    """The shape of each parameter, as text, by its path; of a table its features alone."""
    if hasattr(config, "scan_layers"):
        config = dataclasses.replace(config, scan_layers=False)
    (image,) = inputs.shapes(inputs.of_image(size, channels)).values()
    made = jax.eval_shape(lambda x: config.build().init(jax.random.key(0), x, train=False), image)
    shapes = {path: leaf.shape for path, leaf in layout.flat(made["params"]).items()}
    if "position" in shapes:
        shapes["position"] = shapes["position"][-1:]
    return {path: f"[{', '.join(map(str, shape))}]" for path, shape in shapes.items()}


def _options(ours: EncoderConfig, theirs: EncoderConfig) -> list[str]:
    """What to type so that one encoder becomes the other."""
    words = []
    name = names.name_of(theirs)
    if name is None and type(ours) is not type(theirs):
        name = names.name_of(type(theirs)())  # the kind at least
    if name not in (None, names.name_of(ours)):
        words.append(f"--encoder {name}")
        ours = names.apply(name, ours)
    for field in _differing_fields(ours, theirs):
        value = _value(theirs, field)
        text = " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
        words.append(f"--encoder.{field.replace('_', '-')} {text}")
    return words


def _differing_fields(ours: EncoderConfig, theirs: EncoderConfig) -> list[str]:
    """Names of the fields in which what two encoders of one kind compute differs."""
    fields = [field.name for field in dataclasses.fields(theirs) if field.name not in _FREE]
    if hasattr(theirs, "dimensions"):
        fields = list(dict.fromkeys([*theirs.dimensions._fields, *fields]))
    return [name for name in fields if _counts(ours, name) != _counts(theirs, name)]


def _counts(config: EncoderConfig, name: str) -> object:
    """What counts of a field: of factors whether there are any, since the weights hold them."""
    value = _value(config, name)
    return value is not None if name == "layer_scale" else value


def _value(config: EncoderConfig, name: str) -> object:
    """Of a field, or of the part of its size that it overrides."""
    return getattr(getattr(config, "dimensions", config), name, getattr(config, name))
