"""Slow exact image operations in float64 NumPy loops, written from their definitions.

Nothing here is vectorised over pixels or shares a formula with jaxssl.augment: crops are cut out
with slices before they are resized, blur visits every neighbour, colours change one pixel at a
time and one operation after the other.
"""

import colorsys
import math
import random

import numpy as np


def triangle(x):
    return max(0.0, 1.0 - abs(x))


def keys_cubic(x):
    a, x = -0.5, abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


def resize_side(image, size, kernel):
    """Resizes the first axis; the kernel widens when the side shrinks."""
    length = image.shape[0]
    step = length / size
    width = max(step, 1.0)
    out = np.zeros((size, *image.shape[1:]))
    for i in range(size):
        centre = (i + 0.5) * step
        total = 0.0
        for j in range(length):
            weight = kernel((j + 0.5 - centre) / width)
            out[i] += weight * image[j]
            total += weight
        out[i] /= total
    return out


def crop_resize(image, top, left, height, width, size, kernel=triangle):
    cut = np.asarray(image, np.float64)[top : top + height, left : left + width]
    tall = resize_side(cut, size, kernel)
    return resize_side(tall.transpose(1, 0, 2), size, kernel).transpose(1, 0, 2)


def flip(image):
    return image[:, ::-1]


def blur(image, sigma, radius):
    """Two-dimensional Gaussian over the pixels that exist, weights normalised to 1."""
    height, width, _ = image.shape
    out = np.zeros(image.shape)
    for y in range(height):
        for x in range(width):
            total = 0.0
            for v in range(max(0, y - radius), min(height, y + radius + 1)):
                for u in range(max(0, x - radius), min(width, x + radius + 1)):
                    weight = math.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * sigma**2))
                    out[y, x] += weight * image[v, u]
                    total += weight
            out[y, x] /= total
    return out


def luma(pixel):
    if len(pixel) == 3:
        return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
    return sum(pixel) / len(pixel)


def each_pixel(function, image):
    image = np.asarray(image, np.float64)
    out = np.zeros(image.shape)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            out[y, x] = function(image[y, x])
    return out


def brightness(image, factor):
    return each_pixel(lambda pixel: factor * pixel, image)


def contrast(image, factor):
    mean = np.mean([luma(pixel) for row in image for pixel in row])
    return each_pixel(lambda pixel: factor * pixel + (1 - factor) * mean, image)


def saturation(image, factor):
    return each_pixel(lambda pixel: factor * pixel + (1 - factor) * luma(pixel), image)


def grayscale(image):
    return each_pixel(lambda pixel: np.full(3, luma(pixel)), image)


def solarize(image, threshold):
    return each_pixel(lambda pixel: [1 - x if x >= threshold else x for x in pixel], image)


def hue_yiq(image, shift):
    """Turns I + iQ clockwise, with the inverse of the FCC matrix solved for at each pixel."""
    forward = np.array(
        [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
    )

    def turn(pixel):
        y, i, q = forward @ pixel
        chroma = complex(i, q) * complex(math.cos(-math.tau * shift), math.sin(-math.tau * shift))
        return np.linalg.solve(forward, [y, chroma.real, chroma.imag])

    return each_pixel(turn, image)


def hue_hsv(image, shift):
    def turn(pixel):
        hue, saturation_, value = colorsys.rgb_to_hsv(*pixel)
        return colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation_, value)

    return each_pixel(turn, image)


def sample_crop(generator: random.Random, height, width, scale, ratio):
    """One box (top, left, height, width), as torchvision's rejection loop draws it."""
    for _ in range(10):
        area = height * width * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return generator.randint(0, height - h), generator.randint(0, width - w), h, w
    w, h = width, height
    if width / height < ratio[0]:
        h = round(w / ratio[0])
    elif width / height > ratio[1]:
        w = round(h * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w
