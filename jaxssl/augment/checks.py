"""What the fields of a view, and the image it is called with, must hold; raises otherwise."""

from jaxssl.augment import color, geometry
from jaxssl.types import Array


def to_float_image(view: object, image: Array) -> Array:
    """One image [H, W, C], uint8 or floating in [0, 1], as float32."""
    if image.ndim != 3:
        raise ValueError(
            f"{type(view).__name__}: an image must be [H, W, C], one example; got shape "
            f"{image.shape}. Map over a batch with jax.vmap, or add the channel axis."
        )
    return color.to_float(image)


def side(view: object, name: str = "size") -> None:
    """The field ``name`` is a side in pixels."""
    value = getattr(view, name)
    if value < 1:
        raise ValueError(
            f"{type(view).__name__}: {name} must be at least 1 pixel; got {value}. "
            "Use the side the encoder expects, such as 32 or 224."
        )


def interpolation(view: object) -> None:
    """``interpolation`` is one of geometry's."""
    if view.interpolation not in geometry.METHODS:
        raise ValueError(
            f'{type(view).__name__}: interpolation must be "linear" or "cubic"; got '
            f'"{view.interpolation}". Use "linear" unless the policy asks for bicubic crops.'
        )


def crop_scale(view: object, name: str = "crop_scale") -> None:
    """The field ``name`` is a range of areas."""
    low, high = getattr(view, name)
    if not 0 < low <= high <= 1:
        raise ValueError(
            f"{type(view).__name__}: {name} must be a pair of areas 0 < low <= high <= 1; "
            f"got {(low, high)}. For the whole image use (1.0, 1.0)."
        )


def crop_ratio(view: object) -> None:
    """``crop_ratio`` is a range of width / height."""
    low, high = view.crop_ratio
    if not 0 < low <= high:
        raise ValueError(
            f"{type(view).__name__}: crop_ratio must be a pair 0 < low <= high of width/height; "
            f"got {(low, high)}. The published pair is (3/4, 4/3)."
        )


def probabilities(view: object, *names: str) -> None:
    """The fields ``names`` are probabilities."""
    for name in names:
        value = getattr(view, name)
        if not 0 <= value <= 1:
            raise ValueError(
                f"{type(view).__name__}: {name} must be in [0, 1]; got {value}. "
                "Use 0 to switch it off, 1 to apply it always."
            )
