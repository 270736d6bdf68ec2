"""Published augmentation policies: functions that return views with a paper's numbers.

    augment = policies.simclr(size=32, jitter_strength=0.5, blur_prob=0.0)
    views = jax.vmap(augment)(keys, images)         # [B] keys, [B, H, W, C] uint8 or float32

What they return are frozen dataclasses of numbers, strings and tuples, so that they go into JSON:

    CropFlip, PadCropFlip, Resize    one view by geometry alone
    View                             one view with colours, blur and solarisation
    Pair                             two views, alike or not: ``pair(key, image)``
    MultiCrop                        a pair of large views and several small ones
    RandAugment                      what is done to a view: operations drawn from fourteen

A call with a key and one image makes one view, float32 in [0, 1], or with MultiCrop a dictionary of
views. A policy's further keywords are fields of View and hold for all its views; what is to differ
between them is put together by hand, ``Pair(first, dataclasses.replace(first, …))``.
"""

import dataclasses

from jaxssl.augment.crops import CropFlip, PadCropFlip, Resize
from jaxssl.augment.multicrop import MultiCrop
from jaxssl.augment.pairs import Pair
from jaxssl.augment.rand_augment import RandAugment
from jaxssl.augment.views import Change, View

__all__ = [
    "CropFlip",
    "MultiCrop",
    "PadCropFlip",
    "Pair",
    "RandAugment",
    "Resize",
    "View",
    "byol",
    "dino",
    "lejepa",
    "mae",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "simclr",
    "swav",
]

BYOL_JITTER = (0.4, 0.4, 0.2, 0.1)


def simclr(size: int = 224, *, exact: bool = False, **changes: Change) -> Pair:
    """Crop, flip, colour jitter, greyscale and blur: the views of SimCLR and its relatives.

    The defaults are those for ImageNet. CIFAR: ``jitter_strength=0.5, blur_prob=0.0``. Differs
    from the official code in its crops, which are bilinear with antialiasing (official: bicubic
    without), and in what docs/augmentation.md lists for all policies.

    Args:
        size: side of a view, pixels.
        exact: torchvision's operations, see View; the crops are then bicubic, antialiased.
        changes: other fields of View, in both views.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
    2020, arXiv:2002.05709, appendix A; CIFAR values from the official README, crop ratio and
    kernel from its data_util.py.
    """
    interpolation = "cubic" if exact else "linear"
    return Pair(View(size, interpolation=interpolation, exact=exact)).change_views(**changes)


def moco_v1(size: int = 224, *, exact: bool = False, **changes: Change) -> Pair:
    """The views of MoCo v1: colour jitter always, no blur. Arguments as of ``simclr``.

    Differs from the official code in the order: there greyscale comes before the jitter, as it
    does here with ``exact``. The crops are bilinear, there as here.

    Source: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, 2019,
    arXiv:1911.05722, section 3.3; numbers from the official main_moco.py.
    """
    view = View(
        size,
        crop_scale=(0.2, 1.0),
        jitter=(0.4, 0.4, 0.4, 0.4),
        jitter_prob=1.0,
        blur_prob=0.0,
        exact=exact,
        grayscale_first=exact,
    )
    return Pair(view).change_views(**changes)


def moco_v2(size: int = 224, **changes: Change) -> Pair:
    """The views of MoCo v2, and of SimSiam; crops are bilinear. Arguments as of ``simclr``.

    Source: Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020,
    arXiv:2003.04297, section 2; numbers from the official main_moco.py of ``--aug-plus``.
    """
    view = View(size, crop_scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1))
    return Pair(view).change_views(**changes)


def byol(size: int = 224, **changes: Change) -> Pair:
    """The asymmetric pair of BYOL: blur always and seldom, solarisation on the second view only.

    Barlow Twins and VICReg use this pair too. The differences from the official code are those of
    ``simclr``; crops are bicubic here as there.

    Args:
        size: side of a view, pixels.
        changes: fields of View, in both views: ``blur_prob=0.0`` switches the blur of both off.

    Source: Grill et al., Bootstrap Your Own Latent, 2020, arXiv:2006.07733, appendix B, table 6;
    the authors' configs/byol.py and utils/augmentations.py.
    """
    first = View(size, interpolation="cubic", jitter=BYOL_JITTER, blur_prob=1.0)
    second = dataclasses.replace(first, blur_prob=0.1, solarize_prob=0.2)
    return Pair(first, second).change_views(**changes)


def moco_v3(size: int = 224, **changes: Change) -> Pair:
    """The pair of MoCo v3: BYOL's with bilinear crops. Arguments as of ``byol``.

    The default crops are those of the vision transformers; for the ResNet-50:
    ``crop_scale=(0.2, 1.0)``.

    Source: Chen et al., An Empirical Study of Training Self-Supervised Vision Transformers, 2021,
    arXiv:2104.02057; numbers from the official main_moco.py.
    """
    return byol(size, interpolation="linear").change_views(**changes)


def swav(
    size: int = 224,
    *,
    crop_scale: tuple[float, float] = (0.14, 1.0),
    local_size: int = 96,
    local_crop_scale: tuple[float, float] = (0.05, 0.14),
    num_local: int = 6,
    **changes: Change,
) -> MultiCrop:
    """Two views of 224 and six of 96 pixels, all with SimCLR's colours.

    Args:
        size: side of a global view, pixels.
        crop_scale: lowest and highest fraction of the image's area in a global view.
        local_size: side of a local view, pixels.
        local_crop_scale: lowest and highest fraction of the image's area in a local view.
        num_local: local views of an image; 0 makes none.
        changes: other fields of View, in all views.

    Source: Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments, 2020, arXiv:2006.09882; numbers from the official multicropdataset.py and
    scripts.
    """
    view = View(size, crop_scale)
    local = View(local_size, local_crop_scale)
    return MultiCrop(Pair(view, view), local, num_local).change_views(**changes)


def dino(
    size: int = 224,
    *,
    crop_scale: tuple[float, float] = (0.4, 1.0),
    local_size: int = 96,
    local_crop_scale: tuple[float, float] = (0.05, 0.4),
    num_local: int = 8,
    **changes: Change,
) -> MultiCrop:
    """BYOL's pair from large crops and eight views of 96 pixels. Arguments as of ``swav``.

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021,
    arXiv:2104.14294; numbers from the official main_dino.py (the released long runs: both scales
    meet at 0.25, ten local views).
    """
    local = View(local_size, local_crop_scale, interpolation="cubic", jitter=BYOL_JITTER)
    pair = byol(size, crop_scale=crop_scale)
    return MultiCrop(pair, local, num_local).change_views(**changes)


def lejepa(
    size: int = 224,
    *,
    crop_scale: tuple[float, float] = (0.3, 1.0),
    local_size: int = 98,
    local_crop_scale: tuple[float, float] = (0.05, 0.3),
    num_local: int = 6,
    **changes: Change,
) -> MultiCrop:
    """Two views of 224 and six of 98 pixels, all with the same colours, blur and solarisation.

    98 pixels are seven patches of 14; for patches of 16 take ``local_size=96``. The authors'
    solarisation inverts from 128 of 255 on; they state no width of the blur, which is that of
    their minimal example here. Arguments as of ``swav``.

    Source: Balestriero and LeCun, LeJEPA: Provable and Scalable Self-Supervised Learning Without
    the Heuristics, 2025, arXiv:2511.08544; numbers from the README of the authors'
    rbalestr-lab/lejepa.
    """
    view = View(size, crop_scale, jitter=BYOL_JITTER, solarize_prob=0.2)
    local = dataclasses.replace(view, size=local_size, crop_scale=local_crop_scale)
    return MultiCrop(Pair(view, view), local, num_local).change_views(**changes)


def mae(size: int = 224, **changes: Change) -> CropFlip:
    """The view of masked autoencoders: a large bicubic crop and a flip, no colour.

    The interpolation is the official code's bicubic (Keys a = -1/2, antialiased, clipped to
    [0, 1]).

    Args:
        size: side of the view, pixels.
        changes: fields of CropFlip.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377,
    table 8; crop scale, ratio and interpolation from the official main_pretrain.py.
    """
    view = CropFlip(size, crop_scale=(0.2, 1.0), interpolation="cubic")
    return dataclasses.replace(view, **changes)
