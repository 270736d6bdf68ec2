"""Published augmentation recipes: frozen dataclasses called with a key and one image.

    recipe = recipes.SimCLR(size=32, jitter_strength=0.5, blur_prob=0.0)
    views = jax.vmap(recipe)(keys, images)          # [B] keys, [B, H, W, C] uint8 or float32

Every field is a number, a string or a tuple of numbers, so that a recipe goes into JSON. A call
returns one view, float32 in [0, 1], or with multi-crop a dictionary of views; ``pair`` returns two.
A view spends one draw of uniform numbers, cut into named parts (each further draw would add a
third of a second of compilation): a part that is added later at the end does not change the
earlier ones.

    crops       Resize, CropFlip, MAE, PadCropFlip: geometry alone
    pairs       SimCLR, MoCoV1, MoCoV2: two views alike; BYOL, MoCoV3: the second differs
    multicrop   SwAV, DINO, LeJEPA: two large and several small views
"""

from jaxssl.augment.crops import CROP_RATIO, MAE, CropFlip, PadCropFlip, Resize
from jaxssl.augment.multicrop import DINO, LeJEPA, MultiCrop, SwAV
from jaxssl.augment.pairs import BYOL, MoCoV1, MoCoV2, MoCoV3, SimCLR

__all__ = [
    "BYOL",
    "CROP_RATIO",
    "DINO",
    "MAE",
    "CropFlip",
    "LeJEPA",
    "MoCoV1",
    "MoCoV2",
    "MoCoV3",
    "MultiCrop",
    "PadCropFlip",
    "Resize",
    "SimCLR",
    "SwAV",
]
