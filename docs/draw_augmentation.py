"""Draws docs/images/augmentation.png: what each policy and pretext label makes of an image.

python docs/draw_augmentation.py [--out docs/images/augmentation.png]

Needs matplotlib, and scikit-image for a photograph of a cat, scikit-learn for a flower and a
temple; the greyscale image is a drawn shirt at the size of Fashion-MNIST. Small views of multi-crop
stand on a white ground, in the scale of the large ones.
"""

import argparse
import pathlib

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw
from skimage import data
from sklearn import datasets

from jaxssl.augment import policies
from jaxssl.pretext import masking, rotation

NUM_VIEWS = 10
PATCH = 16


def shirt():
    """A greyscale T-shirt, uint8 [28, 28, 1]."""
    scale = 8
    canvas = Image.new("L", (28 * scale, 28 * scale))
    draw = ImageDraw.Draw(canvas)
    outline = [(9, 3), (3, 6), (1, 13), (6, 14), (7, 11), (7, 26), (21, 26), (21, 11), (22, 14)]
    outline += [(27, 13), (25, 6), (19, 3), (16, 5), (12, 5)]
    draw.polygon([(x * scale, y * scale) for x, y in outline], fill=200)
    for y in (14, 17, 20):
        draw.rectangle([7 * scale, y * scale, 21 * scale, (y + 1) * scale], fill=110)
    return np.asarray(canvas.resize((28, 28), Image.Resampling.BOX))[:, :, None]


def square(photograph, left, top, side, size):
    """A square cut from a photograph, uint8 [size, size, 3]."""
    cut = photograph[top : top + side, left : left + side]
    return np.asarray(Image.fromarray(cut).resize((size, size), Image.Resampling.BOX))


def views(augment, image, seed=0):
    """NUM_VIEWS views of one uint8 image, float32 [V, H, W, C]."""
    keys = jax.random.split(jax.random.key(seed), NUM_VIEWS)
    return np.asarray(jax.jit(jax.vmap(augment, in_axes=(0, None)))(keys, jnp.asarray(image)))


def pairs(augment, image, seed=0):
    """NUM_VIEWS views: a and b of the first key, a and b of the second …"""
    made = views(lambda key, image: jnp.stack(augment.pair(key, image)), image, seed)  # [V, 2, …]
    return made.reshape(-1, *made.shape[2:])[:NUM_VIEWS]


def multicrop(augment, image, seed=0):
    """The global views, then the local ones on a white ground of the same size."""
    made = jax.jit(augment)(jax.random.key(seed), jnp.asarray(image))
    before = (augment.size - augment.local.size) // 2
    around = (before, augment.size - augment.local.size - before)
    padded = np.pad(made["local"], ((0, 0), around, around, (0, 0)), constant_values=1.0)
    return np.concatenate([made["global"], padded])


def masked_views(augment, image):
    """MAE views with the hidden patches painted grey."""
    made = views(augment, image).copy()
    side = made.shape[1] // PATCH
    for number, view in enumerate(made):  # each a window into made
        _, masked = masking.random_masking(jax.random.key(number), side * side, 0.75)
        for patch in np.asarray(masked):
            row, column = divmod(patch, side)
            view[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] = 0.5
    return made


def rotated_views(augment, image):
    """Crops turned by 0, 1, 2, 3, 0 … right angles."""
    cropped = views(augment, image)
    turned = [rotation.rotate90(jnp.asarray(v), n % 4) for n, v in enumerate(cropped)]
    return np.stack(turned)


def main():
    """Parses the arguments and draws."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=pathlib.Path, default="docs/images/augmentation.png")
    out = parser.parse_args().out

    garment = shirt()
    flower = square(datasets.load_sample_image("flower.jpg"), 170, 40, 340, 32)
    temple = square(datasets.load_sample_image("china.jpg"), 0, 0, 427, 224)
    cat = square(data.chelsea(), 70, 0, 300, 256)
    cifar = policies.simclr(32, jitter_strength=0.5, blur_prob=0.0)
    rows = [
        ("SimCLR, 28 px grey", garment, views(policies.simclr(28, jitter_strength=0.5), garment)),
        ("SimCLR (CIFAR), 32 px", flower, views(cifar, flower)),
        ("SimCLR (ImageNet), 224 px", temple, views(policies.simclr(224), temple)),
        ("BYOL, 224 px: pairs of a, b", cat, pairs(policies.byol(224), cat)),
        ("DINO: 2 x 224 px, 8 x 96 px", cat, multicrop(policies.dino(), cat)),
        ("SwAV: 2 x 224 px, 6 x 96 px", cat, multicrop(policies.swav(), cat)),
        ("MAE, 3/4 masked, 224 px", temple, masked_views(policies.mae(224), temple)),
        ("pad, crop, flip, 32 px", flower, views(policies.PadCropFlip(), flower)),
        ("rotation labels 0 to 3", temple, rotated_views(policies.CropFlip(112), temple)),
    ]
    figure, axes = plt.subplots(len(rows), NUM_VIEWS + 1, figsize=(12.5, 11.6))
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (title, original, made) in zip(axes, rows):
        for axis, picture in zip(line, [original / 255, *made]):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        line[0].set_title(title, loc="left", fontsize=9)
    figure.tight_layout(pad=0.4)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    main()
