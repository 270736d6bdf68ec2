import jax
import pytest
import tiny_loop

from jaxssl.training import loop


@pytest.fixture(autouse=True)
def implicit_promotion(standard_promotion):
    """Most tests here run optax."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole")
    with jax.numpy_dtype_promotion("standard"):
        outcome, text = tiny_loop.train(out)
    assert outcome == loop.Outcome(step=10, total_steps=10, stopped=False)
    return out, text
