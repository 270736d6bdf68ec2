"""Multi-crop: a pair of views at full size, and small crops of the same image."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp

from jaxssl import checks, cropping
from jaxssl.augment import pairs, views
from jaxssl.types import Array


@dataclasses.dataclass(frozen=True)
class MultiCrop:
    """A pair of global views and ``num_local`` local views, smaller in pixels and in area.

    Two global views that differ in their probabilities only, and all local ones, compile as two:
    one global, one local, each mapped over its keys.

    Attributes:
        pair: the global views, of one size.
        local: a local view.
        num_local: local views of an image; 0 makes none.

    Source: Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments, 2020, arXiv:2006.09882, section 3.2.
    """

    pair: pairs.Pair
    local: views.View
    num_local: int

    def __post_init__(self):
        self.pair.check_one_size("MultiCrop")
        checks.at_least(self, 0, "num_local", fix="Use 0 for the two global views alone.")
        if self.num_local:
            pairs.check_all_exact("MultiCrop", first=self.pair.first, local=self.local)

    def unused(self) -> dict[str, str]:
        """The local view where there is none."""
        return {} if self.num_local else {"local": "it takes a num-local above 0"}

    @property
    def size(self) -> int:
        """Side of a global view, pixels, and of the images that evaluation sees."""
        return self.pair.size

    def host_crops(self) -> tuple[cropping.Crop, ...]:
        """The crops of all views, those of the pair first; see ``CropFlip``."""
        found = self.pair.host_crops()
        if self.num_local:
            (local,) = self.local.host_crops()
            found += (local._replace(count=self.num_local),)
        return found

    def __call__(self, key: Array, image: Array | cropping.Crops) -> dict[str, Array]:
        """All views of one image.

        Args:
            key: PRNG key.
            image: [H, W, C], uint8 or floating in [0, 1]; or the crops of ``host_crops``.

        Returns:
            "global" [2, size, size, C] and "local" [num_local, local.size, local.size, C], both
            float32 in [0, 1]; without "local" where ``num_local`` is 0.
        """
        global_key, local_key = jax.random.split(key)
        whole, local, axis = image, image, None
        if isinstance(image, cropping.Crops):
            whole, local = image.split(len(self.pair.host_crops()))
            local, axis = local.apart(), 0
        made = {"global": jnp.stack(self.pair.pair(global_key, whole))}
        if self.num_local:
            keys = jax.random.split(local_key, self.num_local)
            made["local"] = jax.vmap(self.local, in_axes=(0, axis))(keys, local)
        return made

    def change_views(self, **changes: views.Change) -> Self:
        """The crops with the same changes of View's fields in all views, global and local."""
        return dataclasses.replace(
            self,
            pair=self.pair.change_views(**changes),
            local=dataclasses.replace(self.local, **changes),
        )

    @classmethod
    def upgrade(cls, fields: dict) -> dict:
        """Today's fields of a record whose global view was flat, with ``local_…`` fields.

        A local view shared every field with the first global one but those with a name of its own.
        """
        if "pair" in fields:
            return fields
        shared, own = pairs.split_by_prefix(fields, "local_")
        num_local = shared.pop("num_local")
        pair = pairs.Pair.upgrade(shared)
        return {"pair": pair, "local": pair["first"] | own, "num_local": num_local}
