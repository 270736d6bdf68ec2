import pytest


@pytest.fixture(autouse=True)
def implicit_promotion(standard_promotion):
    """Most tests here run optax."""
