"""What each half of a split-brain autoencoder sees and is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import colorspace
from jaxssl.methods import split_brain
from jaxssl.methods.shared import functional
from jaxssl.pretext import gamut

# Pixels, on images of 16 x 16.
TINY = {"SplitBrain": {"output_stride": 4}}
TINY_ENCODER = {"SplitBrain": "SmallSplit"}

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def setting():
    images = jnp.asarray(tiny.images(4) / 255.0, jnp.float32)
    config = tiny.method("SplitBrain")
    method = config.build(tiny.ENCODERS["Split"].build(), axis_name=None)
    return config, images, method, *jax.jit(method.init)(KEY, {"image": images})


def test_loss_is_that_of_the_loop(setting, monkeypatch):
    _, images, method, params, state = setting
    generator = np.random.default_rng(0)
    answers = [generator.normal(size=(4, 4, 4, count)) for count in (313, 50)]
    monkeypatch.setattr(
        functional.WithHead, "apply", lambda *_: (tuple(map(jnp.float32, answers)), state)
    )
    values, (_, metrics) = method.loss(params, state, {"image": images}, KEY, 0)
    expected, right = np.zeros(4), np.zeros(2)
    for index, image in enumerate(np.float64(images)):
        for row in range(4):
            for column in range(4):
                lab = colorspace.rgb_to_lab(image[4 * row + 2, 4 * column + 2])
                apart = [np.sum((lab[1:] - center) ** 2) for center in gamut.ab_bins()]
                labels = (int(np.argmin(apart)), min(int(lab[0] // 2), 49))
                for task, (answer, label) in enumerate(zip(answers, labels)):
                    scores = answer[index, row, column]
                    expected[index] += (np.log(np.sum(np.exp(scores))) - scores[label]) / 16
                    right[task] += scores.argmax() == label
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["accuracy_ab"], right[0] / 64)
    np.testing.assert_allclose(metrics["accuracy_lightness"], right[1] / 64)


def test_no_half_sees_what_it_is_asked_for(setting):
    """The answer on ab follows L alone, and the answer on L follows ab alone."""
    config, images, _, params, state = setting
    network = config._network(tiny.ENCODERS["Split"].build(), None)
    predict = jax.jit(lambda images: network.predict(params, state, images))
    # Darker and less colourful, inside of sRGB, so that nothing is clipped.
    lab = colorspace.rgb_to_lab(0.25 + 0.5 * images)
    base, same_l, same_ab = (
        predict(colorspace.lab_to_rgb(lab * jnp.array(scale).reshape(1, 1, 1, 3)))
        for scale in ([1.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.9, 0.5, 0.5])
    )
    np.testing.assert_allclose(base[0], same_l[0], rtol=0, atol=2e-3)
    np.testing.assert_allclose(base[1], same_ab[1], rtol=0, atol=2e-3)
    assert np.max(np.abs(base[1] - same_l[1])) > 0.02
    assert np.max(np.abs(base[0] - same_ab[0])) > 0.02


def test_each_picture_keeps_the_channel_that_was_given(setting):
    _, images, method, params, state = setting
    images = 0.4 + 0.2 * images
    (_, view), (_, from_l), (_, from_ab) = method.show(params, state, {"image": images})
    np.testing.assert_array_equal(view, images)
    lab, of_l, of_ab = map(colorspace.rgb_to_lab, (view, from_l, from_ab))
    np.testing.assert_allclose(of_l[..., 0], lab[..., 0], rtol=0, atol=6)  # clipped at times
    in_gamut = np.all((np.asarray(from_ab) > 0) & (np.asarray(from_ab) < 1), axis=-1)
    assert in_gamut.mean() > 0.3
    np.testing.assert_allclose(of_ab[in_gamut][:, 1:], lab[in_gamut][:, 1:], rtol=0, atol=0.1)


def test_mistakes_are_named():
    config = tiny.method("SplitBrain")
    message = r"SplitBrain: the encoder must be a Split, .*; got ResNet\. Use models\.SplitConfig"
    with pytest.raises(ValueError, match=message):
        config.build(tiny.ENCODERS["ResNet"].build(), axis_name=None)
    message = r"SplitBrain: output_stride must divide the image size 180; got 7\. The paper's"
    with pytest.raises(ValueError, match=message):
        split_brain.SplitBrain(output_stride=7)
