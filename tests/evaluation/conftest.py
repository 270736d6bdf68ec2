import pytest
import tiny_runs


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished run of two steps on 32 images in four classes; nothing is evaluated yet."""
    folder = tmp_path_factory.mktemp("evaluated")
    return tiny_runs.train_two_steps(tiny_runs.write_data(folder / "tiny.npz"), folder / "run")
