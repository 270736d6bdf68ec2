"""Two views of one image: alike, or the second one different."""

import dataclasses
import functools
from typing import Self

import jax
import jax.numpy as jnp

from jaxssl import cropping
from jaxssl.augment import views
from jaxssl.types import Array


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two views of one image.

    Attributes:
        first: view a, and what one call makes.
        second: view b; None makes a second draw of the first.
    """

    first: views.View
    second: views.View | None = None

    def __post_init__(self):
        if self.second is not None:
            check_all_exact("Pair", first=self.first, second=self.second)

    @property
    def size(self) -> int:
        """Side of the first view, pixels, and of the images that evaluation sees."""
        return self.first.size

    def __call__(self, key: Array, image: Array | cropping.Crops) -> Array:
        """One view [size, size, C] float32 in [0, 1] of [H, W, C], or of its crops: the first."""
        return self.first(key, image.at(0) if isinstance(image, cropping.Crops) else image)

    def host_crops(self) -> tuple[cropping.Crop, ...]:
        """The crops of both views, in one group where they differ in nothing; see ``CropFlip``."""
        (first,) = self.first.host_crops()
        (second,) = (self.second or self.first).host_crops()
        return (first._replace(count=2),) if second == first else (first, second)

    def pair(self, key: Array, image: Array | cropping.Crops) -> tuple[Array, Array]:
        """Two views of one image, each what a call of its own view makes with a key of its own.

        Views that differ in their probabilities of blur and solarisation only, or not at all, are
        one function of key and probabilities mapped over both: they compile in the time of one.

        Args:
            key: PRNG key, split in two.
            image: [H, W, C], uint8 or floating in [0, 1]; or the crops of ``host_crops``.

        Returns:
            View a and view b, [size, size, C] float32 in [0, 1], each of its own size.
        """
        cut = image if isinstance(image, cropping.Crops) else None
        if self.second is None or not self._differs_in_probabilities_only(self.second):
            key_a, key_b = jax.random.split(key)
            image_a, image_b = (image, image) if cut is None else (cut.at(0), cut.at(1))
            return self.first(key_a, image_a), (self.second or self.first)(key_b, image_b)
        blur_probs = self.first.blur_prob, self.second.blur_prob
        solarize_probs = self.first.solarize_prob, self.second.solarize_prob
        view = functools.partial(
            self.first.with_probabilities,
            blurs=max(blur_probs) > 0,
            solarizes=max(solarize_probs) > 0,
        )
        view_a, view_b = jax.vmap(view, in_axes=(0, None if cut is None else 0, 0, 0))(
            jax.random.split(key),
            image if cut is None else cut.apart(),
            jnp.array(blur_probs, jnp.float32),
            jnp.array(solarize_probs, jnp.float32),
        )
        return view_a, view_b

    def change_views(self, **changes: views.Change) -> Self:
        """The pair with the same changes of View's fields in both of its views."""
        first = dataclasses.replace(self.first, **changes)
        if self.second is None:
            return dataclasses.replace(self, first=first)
        second = dataclasses.replace(self.second, **changes)
        return dataclasses.replace(self, first=first, second=second)

    def check_one_size(self, owner: str) -> None:
        """Raises a ValueError unless both views have one size, for an owner that stacks them."""
        if self.second is not None and self.second.size != self.first.size:
            raise ValueError(
                f"{owner}: first and second views must have one size, as they are stacked; got "
                f"{self.first.size} and {self.second.size} pixels. Set the size of both."
            )

    @classmethod
    def upgrade(cls, fields: dict) -> dict:
        """Today's fields of a record whose view was flat, with ``second_…`` probabilities."""
        if "first" in fields:
            return fields
        first, own = split_by_prefix(fields, "second_")
        return {"first": first, "second": first | own if own else None}

    def _differs_in_probabilities_only(self, second: views.View) -> bool:
        probabilities = {name: getattr(self.first, name) for name in ("blur_prob", "solarize_prob")}
        return dataclasses.replace(second, **probabilities) == self.first


def check_all_exact(owner: str, **made: views.View) -> None:
    """Raises a ValueError unless all views, given by their names, are exact or none is."""
    if len({view.exact for view in made.values()}) > 1:
        came = ", ".join(f"{name}.exact {view.exact}" for name, view in made.items())
        raise ValueError(f"{owner}: all views must be exact or none; got {came}. Set all of them.")


def split_by_prefix(fields: dict, prefix: str) -> tuple[dict, dict]:
    """The fields whose names do not begin with ``prefix``, and those that do, without it."""
    rest = {name: value for name, value in fields.items() if not name.startswith(prefix)}
    own = {
        name.removeprefix(prefix): value
        for name, value in fields.items()
        if name.startswith(prefix)
    }
    return rest, own
