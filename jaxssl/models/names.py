"""Short names of the published encoders of images: resnet-50, vit-s/16, convnext-tiny.

A name says the size of a network and nothing else: what an encoder is told beside it, such as how
it begins or what it sees of the images, stays.
"""

import dataclasses
import re
from typing import NamedTuple

from jaxssl import types, words
from jaxssl.models import convnext, resnet, vit

_CONVNEXTS = {"T": "tiny", "S": "small", "B": "base", "L": "large", "XL": "xlarge"}
_PATCH_SIZES = (8, 14, 16, 32)  # as published; any other is a name too
_SEES = ("dtype", "color_space", "mean", "std")  # fields that every encoder of images has


class _Meant(NamedTuple):
    """The class of a config, and those of its fields that a name decides."""

    config: type
    fields: dict


_FIXED = {
    f"resnet-{depth}": _Meant(
        resnet.ResNetConfig, {"depth": depth, "width_multiplier": 1.0, "num_stages": 4}
    )
    for depth in resnet.DEPTHS
} | {
    f"convnext-{_CONVNEXTS.get(size, size.lower())}": _Meant(
        convnext.ConvNeXtConfig, {"size": size, "depths": None, "dims": None}
    )
    for size in convnext.SIZES
}
_VITS = {f"vit-{size.lower()}": size for size in vit.SIZES}
NAMES = (*_FIXED, *(f"{name}/{side}" for name in _VITS for side in _PATCH_SIZES))


def kind(name: str) -> type:
    """The class of config that a name stands for; raises as ``apply``."""
    return _find(name).config


def apply(name: str, like: types.EncoderConfig) -> types.EncoderConfig:
    """The encoder of a name, otherwise like another one.

    Args:
        name: "resnet-50"; "vit-s/16", with the side of a patch in pixels; "convnext-tiny".
        like: of the same kind, all of whose other fields are kept; or of another one, of which
            compute dtype, colour space, mean and deviation are.

    Raises:
        ValueError: no such name; with the nearest one.

    Example:
        >>> apply("vit-s/8", vit.ViTConfig(pool="mean", depth=2)) == vit.ViTConfig(
        ...     size="S", patch_size=8, pool="mean"
        ... )
        True
    """
    config, fields = _find(name)
    if type(like) is config:
        return dataclasses.replace(like, **fields)
    return config(
        **fields, **{field: getattr(like, field) for field in _SEES if hasattr(like, field)}
    )


def name_of(config: types.EncoderConfig) -> str | None:
    """The name of an encoder's size, which ``apply`` takes; None of a size without one.

    Example:
        >>> name_of(vit.ViTConfig(size="S", num_heads=12, pool="mean"))
        'vit-s/16'
    """
    if isinstance(config, vit.ViTConfig):
        width, depth, _ = config.dimensions
        for name, size in _VITS.items():
            if vit.SIZES[size][:2] == (width, depth):
                return f"{name}/{config.patch_size}"
    for name, (kind_, fields) in _FIXED.items():
        if type(config) is kind_ and all(getattr(config, f) == v for f, v in fields.items()):
            return name
    return None


def _find(name: str) -> _Meant:
    asked = name.lower()
    if asked in _FIXED:
        return _FIXED[asked]
    match = re.fullmatch(r"(.+)/([1-9]\d*)", asked)
    if match and match[1] in _VITS:
        # A size is whole: no width, depth or heads of another one stay.
        own = {"width": None, "depth": None, "num_heads": None}
        return _Meant(vit.ViTConfig, {"size": _VITS[match[1]], "patch_size": int(match[2]), **own})
    families = "resnet-18, resnet-50, vit-ti/16, vit-s/16, vit-b/16, convnext-tiny"
    raise ValueError(
        f"encoder: must be a name such as {families} (a ViT's patches have any side); got "
        f"{name!r}.{words.nearest(name, NAMES)}"
    )
