"""What training and run refuse of each other and of devices."""

import pytest

from jaxssl.training.config import RunConfig, TrainingConfig


@pytest.mark.parametrize(
    ("batch_size", "micro_batch", "num_devices", "nearest"),
    [(256, 48, 8, "32 or 64"), (256, 4, 8, "8"), (256, 512, 8, "256"), (24, 8, 3, "6 or 12")],
)
def test_a_micro_batch_names_the_nearest(batch_size, micro_batch, num_devices, nearest):
    training = TrainingConfig(batch_size=batch_size, micro_batch=micro_batch)
    text = rf"{num_devices} devices share equally; got {micro_batch}\. Nearest: {nearest}\.$"
    with pytest.raises(ValueError, match=text):
        training.check_devices(num_devices)


@pytest.mark.parametrize(("micro_batch", "parts"), [(None, 1), (256, 1), (64, 4), (8, 32)])
def test_a_micro_batch_that_fits(micro_batch, parts):
    training = TrainingConfig(batch_size=256, micro_batch=micro_batch)
    training.check_devices(8)
    assert training.num_micro_batches == parts


@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
def test_a_state_that_is_copied_cannot_be_divided(backend):
    message = rf"^run\.shard: .*; got state under {backend}\. Use --run\.backend jit\.$"
    with pytest.raises(ValueError, match=message):
        RunConfig(shard="state", backend=backend)
