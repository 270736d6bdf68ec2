"""Planted shortcuts are found under their own name, and counter-measures clear them.

Windows of photographs, and the questions of real methods or of a small one that turns images.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.scipy import ndimage
from skimage import data as photographs

from jaxssl import data
from jaxssl.audit import cues, probes, questions
from jaxssl.augment import policies
from jaxssl.methods.context_prediction import ContextPrediction
from jaxssl.methods.rotation import Rotation
from jaxssl.pretext import rotation
from jaxssl.types import Method, Question

SIZE = 48
WHOLE = policies.CropFlip(size=SIZE, crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip_prob=0.0)
# 3 · 12 pixels of patches; at gap 4 and jitter 2 they fill the window.
TOUCHING = ContextPrediction(
    augment=WHOLE, patch_size=12, gap=0, jitter=0, color="none", resample_prob=0.0
)
APART = dataclasses.replace(TOUCHING, gap=4, jitter=2)
NUM_FIT, NUM_SCORE = 1200, 600


def windows(photograph, count, seed):
    """Windows uint8 [N, S, S, 3] at random places of one photograph."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, np.array(photograph.shape[:2]) - SIZE, (count, 2))
    return np.stack([photograph[r : r + SIZE, c : c + SIZE] for r, c in corners])


@functools.cache
def splits():
    """Windows of the left halves of four photographs to train, of the right halves to test."""
    names = ("astronaut", "coffee", "chelsea", "rocket")
    whole = [getattr(photographs, name)() for name in names]
    halves = (
        [image[:, : image.shape[1] // 2] for image in whole],
        [image[:, image.shape[1] // 2 :] for image in whole],
    )
    return tuple(
        np.concatenate([windows(half, 200, seed) for half in group])
        for seed, group in enumerate(halves)
    )


def with_aberration(images, strength=0.06):
    """Red and blue magnified about the middle m of the window, p to p + strength (p - m)."""
    middle = (SIZE - 1) / 2
    grid = jnp.meshgrid(*[jnp.arange(SIZE, dtype=jnp.float32)] * 2, indexing="ij")
    places = [axis + strength * (axis - middle) for axis in grid]

    @jax.jit
    @jax.vmap
    @functools.partial(jax.vmap, in_axes=2, out_axes=2)
    def magnified(channel):
        return ndimage.map_coordinates(channel, places, order=1, mode="nearest")

    shifted = np.asarray(magnified(images.astype(np.float32))).round().astype(np.uint8)
    return np.stack([shifted[..., 0], images[..., 1], shifted[..., 2]], axis=-1)


def found(config, train=None, test=None):
    """Scores of all cues for the questions of a method about both splits, by name."""
    sources = [
        data.from_arrays(own if own is not None else split)
        for own, split in zip((train, test), splits())
    ]
    method = config.build(tiny.ENCODERS["ViT"].build(), axis_name=None)
    fit, score = (
        questions.describe(method, source, count, seed=seed)
        for seed, (source, count) in enumerate(zip(sources, (NUM_FIT, NUM_SCORE)))
    )
    chance = probes.chance_of(fit.answers, fit.num_answers)
    return {
        name: probes.probe(
            fit.cues[name],
            fit.answers,
            score.cues[name],
            score.answers,
            chance=chance,
            selects=cues.TABLE[name].selects,
        )
        for name in fit.cues
    }


def shortcuts(scores):
    return {name for name, score in scores.items() if probes.is_shortcut(score)}


@pytest.fixture(scope="module", autouse=True)
def standard_promotion():
    """jax.scipy.ndimage relies on implicit promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def aberrated():
    """Grey, so that projection can undo it wholly: of coloured edges it leaves a part."""
    grey = [split.mean(axis=-1, keepdims=True).astype(np.uint8) for split in splits()]
    return tuple(with_aberration(split.repeat(3, axis=-1)) for split in grey)


@pytest.mark.slow
def test_aberration_is_found_and_cleared_by_either_measure(aberrated):
    name = "chromatic aberration"
    assert name in shortcuts(found(APART, *aberrated))
    assert name not in shortcuts(found(APART))  # the same windows without it
    for color in ("dropping", "projection"):
        cured = dataclasses.replace(APART, color=color)
        assert name not in shortcuts(found(cured, *aberrated)), color


@pytest.mark.slow
def test_patches_that_touch_are_found_and_gap_and_jitter_lower_it():
    name = "border continuity"
    touching, apart = found(TOUCHING), found(APART)
    assert name in shortcuts(touching)
    # Photographs are smooth: a narrow gap lowers the skill, it does not take it all.
    assert apart[name].skill < 0.8 * touching[name].skill


@dataclasses.dataclass(frozen=True)
class Marked(ContextPrediction):
    """Context prediction whose second patch carries a line at the side that its place names."""

    marked: bool = True

    def build(self, encoder, *, axis_name):
        method = super().build(encoder, axis_name=axis_name)
        return method._replace(ask=lambda views: self._mark(method.ask(views)))

    def _mark(self, question):
        if not self.marked:
            return question
        pair, labels, _ = question
        ends = jnp.array([0, self.patch_size - 1])
        rows = jnp.arange(self.patch_size)
        across = rows[None] == ends[labels % 2][:, None]  # [B, P]
        upright = (labels // 2 % 2 == 0)[:, None, None]
        line = jnp.where(upright, across[:, :, None], across[:, None, :])[:, None, :, :, None]
        is_second = jnp.arange(2)[None, :, None, None, None] == 1
        return question._replace(inputs=jnp.where(line & is_second, 1.0, pair))


@pytest.mark.slow
def test_a_line_by_place_is_found_and_gone_without_it():
    fields = {field.name: getattr(APART, field.name) for field in dataclasses.fields(APART)}
    fields |= {"color": "dropping"}
    assert "border line" in shortcuts(found(Marked(**fields)))
    assert "border line" not in shortcuts(found(Marked(**fields, marked=False)))


@pytest.mark.slow
def test_a_watermark_is_found_and_crops_that_leave_it_out_clear_it():
    """A mark in one corner of every photograph tells how the image was turned."""

    def marked(images):
        stamped = images.copy()
        stamped[:, 40:46, 38:46] = [255, 255, 255]
        stamped[:, 42:44, 40:44] = [0, 0, 0]
        return stamped

    stamped = tuple(marked(split) for split in splits())
    name = "watermark"
    assert name in shortcuts(found(Rotation(WHOLE), *stamped))
    assert name not in shortcuts(found(Rotation(WHOLE)))  # the same windows without it
    cropped = dataclasses.replace(WHOLE, crop_scale=(0.25, 0.35))
    assert name not in shortcuts(found(Rotation(cropped), *stamped))


@dataclasses.dataclass(frozen=True)
class Turn:
    """A question about quarter turns, or about turns by 0, 30, 60 and 90 degrees.

    Attributes:
        how: "exact" quarter turns of pixels, or "filled" or "reflected" bilinear turns.
    """

    how: str

    def build(self, encoder, *, axis_name):
        def view(key, example):
            image = example["image"].astype(jnp.float32) / 255
            if self.how == "exact":
                turned, label = rotation.random_rotation(key, image)
                return {"image": turned, "label": label}
            label = jax.random.randint(key, (), 0, 4, jnp.int32)
            angle, middle = label.astype(jnp.float32) * (jnp.pi / 6), (SIZE - 1) / 2
            grid = jnp.meshgrid(*[jnp.arange(SIZE, dtype=jnp.float32) - middle] * 2, indexing="ij")
            cos, sin = jnp.cos(angle), jnp.sin(angle)
            places = [
                cos * grid[0] - sin * grid[1] + middle,
                sin * grid[0] + cos * grid[1] + middle,
            ]
            mode = {"filled": "constant", "reflected": "mirror"}[self.how]
            turn = functools.partial(
                ndimage.map_coordinates, coordinates=places, order=1, mode=mode
            )
            turned = jax.vmap(turn, in_axes=2, out_axes=2)(image)
            return {"image": turned, "label": label}

        def ask(views):
            return Question(views["image"][:, None], views["label"], 4)

        unused = dict.fromkeys(("init", "loss", "advance", "encoder", "inputs"))
        return Method(view=view, ask=ask, **unused)


@pytest.mark.slow
def test_exact_turns_leave_no_trace_and_interpolated_ones_do():
    traces = {"resampling", "fill"}
    assert not traces & shortcuts(found(Turn("exact")))
    assert "fill" in shortcuts(found(Turn("filled")))
    assert "resampling" in shortcuts(found(Turn("reflected")))
