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


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "expected"),
    [(2, 5, 10), (0.5, 5, 2), (0.01, 5, 1), (1.3, 10, 13)],
)
def test_total_steps(epochs, steps_per_epoch, expected):
    assert TrainingConfig(epochs=epochs).plan(steps_per_epoch).total_steps == expected


@pytest.mark.parametrize(
    ("config", "field", "value", "text"),
    [
        (TrainingConfig, "epochs", 0, "training.epochs: must be finite and above 0; got 0"),
        (TrainingConfig, "seed", -1, r"training.seed: must be in \[0, 2147483648\); got -1"),
        (RunConfig, "log_every", 0, "run.log_every: must be at least 1; got 0"),
        (
            RunConfig,
            "checkpoint_every",
            -5,
            "run.checkpoint_every: must be at least 1; got -5",
        ),
        (RunConfig, "keep_checkpoints", 0, "run.keep_checkpoints: must be at least 1; got 0"),
    ],
)
def test_wrong_values_are_named(config, field, value, text):
    with pytest.raises(ValueError, match=text):
        config(**{field: value})
