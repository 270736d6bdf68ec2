import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.evaluation import features
from jaxssl.types import Features


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (21, 4, 4, 3), np.uint8)


def apply(variables, images):
    assert variables == {}
    scaled = images.astype(jnp.float32) / 255
    flat = scaled.reshape(len(scaled), -1)
    weights = jnp.cos(jnp.arange(48 * 5, dtype=jnp.float32)).reshape(48, 5)
    pooled = jnp.tanh(flat @ weights)
    return Features(pooled, pooled[:, None], (flat[:, :7], pooled))


def batches(images, size, labels=None):
    for first in range(0, len(images), size):
        batch = {"image": images[first : first + size]}
        yield batch if labels is None else batch | {"label": labels[first : first + size]}


@pytest.mark.parametrize("size", [8, 16, 5, 21, 3])
def test_batches_and_padding_do_not_change_a_feature(images, size):
    labels = np.arange(21, dtype=np.int32)
    found = features.extract(apply, {}, batches(images, size, labels), batch_size=size)
    expected = jax.jit(apply)({}, images)
    np.testing.assert_allclose(found.pooled, expected.pooled, atol=1e-6)
    assert [stage.shape for stage in found.stages] == [(21, 7), (21, 5)]
    np.testing.assert_allclose(found.stages[0], expected.stages[0], atol=1e-6)
    np.testing.assert_array_equal(found.labels, labels)


def test_eight_devices_give_the_numbers_of_one(images, monkeypatch):
    assert jax.local_device_count() == 8
    many = features.extract(apply, {}, batches(images, 8), batch_size=8)
    first = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: first)
    one = features.extract(apply, {}, batches(images, 8), batch_size=8)
    np.testing.assert_allclose(many.pooled, one.pooled, atol=1e-6)


def test_a_short_last_batch_needs_no_second_compilation(images):
    shapes = []

    def traced(variables, images):
        shapes.append(images.shape)
        return apply(variables, images)

    features.extract(traced, {}, batches(images, 8), batch_size=8)
    assert shapes == [(8, 4, 4, 3)]


def test_labels_are_none_where_batches_have_none(images):
    assert features.extract(apply, {}, batches(images, 8), batch_size=8).labels is None
    assert features.pixels(batches(images, 8)).labels is None


def test_layers_are_named_by_number(images):
    found = features.extract(apply, {}, batches(images, 8), batch_size=8)
    assert found.layer(None) is found.pooled
    assert found.layer(0) is found.stages[0]
    assert found.layer(-1) is found.stages[1]
    with pytest.raises(ValueError, match=r"stage of the encoder, 0 to 1; got 2"):
        found.layer(2)


def test_pixels_are_fractions_in_raster_order(images):
    found = features.pixels(batches(images, 8))
    assert found.pooled.dtype == np.float32
    assert found.pooled.shape == (21, 48)
    assert found.pooled[20, 1 * 12 + 2 * 3 + 1] == pytest.approx(images[20, 1, 2, 1] / 255)


def test_pca_is_fitted_on_the_training_split_alone():
    generator = np.random.default_rng(0)
    train, test = (
        features.FeatureSet(
            (generator.normal(size=(rows, 6)) @ np.diag([5, 3, 2, 1, 1, 1])).astype(np.float32),
            (),
            np.zeros(rows, np.int32),
        )
        for rows in (50, 9)
    )
    projected, other = features.pca(train, test, 3)
    _, _, directions = np.linalg.svd(train.pooled - train.pooled.mean(axis=0).astype(np.float64))
    expected = (test.pooled - train.pooled.mean(axis=0)) @ directions[:3].T
    np.testing.assert_allclose(abs(other.pooled), abs(expected), atol=1e-4)
    assert (np.diff(projected.pooled.var(axis=0)) < 0).all()
    again, _ = features.pca(train, test._replace(pooled=9 * test.pooled + 1), 3)
    np.testing.assert_array_equal(again.pooled, projected.pooled)
    assert other.labels is test.labels
