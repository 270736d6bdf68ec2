import jax
import pytest


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax relies on implicit promotion in its bias correction."""
    with jax.numpy_dtype_promotion("standard"):
        yield
