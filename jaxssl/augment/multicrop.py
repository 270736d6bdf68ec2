"""Multi-crop: a pair of views at full size, and small crops of the same image."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxssl.augment import checks, pairs
from jaxssl.types import Array


@dataclasses.dataclass(frozen=True)
class MultiCrop(pairs.BYOL):
    """A pair of global views and ``num_local`` local views, smaller in pixels and in area.

    ``pair`` makes the global views alone, ``__call__`` all of them. Local views share every field
    with the global ones but those named here. All views together compile as two: one global, one
    local, each mapped over its keys.

    Attributes (all others: see BYOL and SimCLR):
        size: side of a global view, pixels, and of the images that evaluation sees.
        local_size: side of a local view, pixels.
        num_local: local views of an image; 0 makes none.
        local_crop_scale: lowest and highest fraction of the image's area in a local view.
        local_blur_prob: probability of the blur of a local view.
        local_solarize_prob: probability of solarisation of a local view.

    Source: Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments, 2020, arXiv:2006.09882, section 3.2.
    """

    local_size: int = 96
    num_local: int = 6
    local_crop_scale: tuple[float, float] = (0.05, 0.14)
    local_blur_prob: float = 0.5
    local_solarize_prob: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        checks.side(self, "local_size")
        checks.crop_scale(self, "local_crop_scale")
        checks.probabilities(self, "local_blur_prob", "local_solarize_prob")
        if self.num_local < 0:
            raise ValueError(
                f"{type(self).__name__}: num_local must be at least 0 views; got "
                f"{self.num_local}. Use 0 for the two global views alone."
            )

    def __call__(self, key: Array, image: Array) -> dict[str, Array]:
        """All views of one image.

        Args:
            key: PRNG key.
            image: [H, W, C], uint8 or floating in [0, 1].

        Returns:
            "global" [2, size, size, C] and "local" [num_local, local_size, local_size, C], both
            float32 in [0, 1]; without "local" where ``num_local`` is 0.
        """
        global_key, local_key = jax.random.split(key)
        views = {"global": jnp.stack(self.pair(global_key, image))}
        if self.num_local:
            keys = jax.random.split(local_key, self.num_local)
            views["local"] = jax.vmap(self._local(), in_axes=(0, None))(keys, image)
        return views

    def _local(self) -> pairs.SimCLR:
        shared = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(pairs.SimCLR)
        }
        own = {
            "size": self.local_size,
            "crop_scale": self.local_crop_scale,
            "blur_prob": self.local_blur_prob,
            "solarize_prob": self.local_solarize_prob,
        }
        return pairs.SimCLR(**(shared | own))


@dataclasses.dataclass(frozen=True)
class SwAV(MultiCrop):
    """Two views of 224 and six of 96 pixels, all with SimCLR's colours. Fields of MultiCrop.

    Source: Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments, 2020, arXiv:2006.09882; numbers from the official multicropdataset.py and
    scripts.
    """

    size: int = 224
    crop_scale: tuple[float, float] = (0.14, 1.0)
    interpolation: str = "linear"
    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2)
    blur_prob: float = 0.5
    second_blur_prob: float = 0.5
    second_solarize_prob: float = 0.0


@dataclasses.dataclass(frozen=True)
class DINO(MultiCrop):
    """BYOL's pair from large crops and eight views of 96 pixels. Fields of MultiCrop.

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021,
    arXiv:2104.14294; numbers from the official main_dino.py (the released long runs: both scales
    meet at 0.25, ten local views).
    """

    size: int = 224
    crop_scale: tuple[float, float] = (0.4, 1.0)
    num_local: int = 8
    local_crop_scale: tuple[float, float] = (0.05, 0.4)


@dataclasses.dataclass(frozen=True)
class LeJEPA(MultiCrop):
    """Two views of 224 and six of 98 pixels, all with the same colours, blur and solarisation.

    98 pixels are seven patches of 14; for patches of 16 take ``local_size=96``. The authors'
    solarisation inverts from 128 of 255 on; they state no width of the blur, which is that of
    their minimal example here. Fields of MultiCrop.

    Source: Balestriero and LeCun, LeJEPA: Provable and Scalable Self-Supervised Learning Without
    the Heuristics, 2025, arXiv:2511.08544; numbers from the README of the authors'
    rbalestr-lab/lejepa.
    """

    size: int = 224
    crop_scale: tuple[float, float] = (0.3, 1.0)
    interpolation: str = "linear"
    blur_prob: float = 0.5
    second_blur_prob: float = 0.5
    solarize_prob: float = 0.2
    local_size: int = 98
    local_crop_scale: tuple[float, float] = (0.05, 0.3)
    local_solarize_prob: float = 0.2
