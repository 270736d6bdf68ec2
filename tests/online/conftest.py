import pytest


@pytest.fixture(autouse=True)
def implicit_promotion(standard_promotion):
    """Runs here use optax."""
