import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.evaluation import features


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (21, 4, 4, 3), np.uint8)


def read(variables, images):
    assert variables == {}
    scaled = images.astype(jnp.float32) / 255
    flat = scaled.reshape(len(scaled), -1)
    weights = jnp.cos(jnp.arange(48 * 5, dtype=jnp.float32)).reshape(48, 5)
    return {"pooled": jnp.tanh(flat @ weights), "stage 0": flat[:, :7]}


def extract(images, size, labels=None, read=read):
    return features.extract(
        read, {}, batches(images, size, labels), num_examples=len(images), batch_size=size
    )


def batches(images, size, labels=None):
    for first in range(0, len(images), size):
        batch = {"image": images[first : first + size]}
        yield batch if labels is None else batch | {"label": labels[first : first + size]}


@pytest.mark.parametrize("size", [8, 16, 5, 21, 3])
def test_batches_and_padding_do_not_change_a_feature(images, size):
    labels = np.arange(21, dtype=np.int32)
    found = extract(images, size, labels)
    assert list(found.layers) == ["pooled", "stage 0"]
    for name, expected in jax.jit(read)({}, images).items():
        assert found.layers[name].dtype == np.float32
        np.testing.assert_allclose(found.layers[name], expected, atol=1e-6)
    np.testing.assert_array_equal(found.labels, labels)


def test_eight_devices_give_the_numbers_of_one(images, monkeypatch):
    assert jax.local_device_count() == 8
    many = extract(images, 8)
    first = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: first)
    one = extract(images, 8)
    np.testing.assert_allclose(many.layers["pooled"], one.layers["pooled"], atol=1e-6)


def test_a_short_last_batch_needs_no_second_compilation(images):
    shapes = []

    def traced(variables, images):
        shapes.append(images.shape)
        return read(variables, images)

    extract(images, 8, read=traced)
    assert shapes == [(8, 4, 4, 3)]


def test_labels_are_none_where_batches_have_none(images):
    assert extract(images, 8).labels is None
