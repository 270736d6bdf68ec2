import pytest
import tiny_runs

from jaxssl import cli
from jaxssl.training import loop


@pytest.fixture(scope="session")
def npz(tmp_path_factory):
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture(scope="session")
def finished(npz, tmp_path_factory):
    """A finished MAE run of two steps, for all tests: who adds to it takes a copy."""
    return tiny_runs.train_two_steps(npz, tmp_path_factory.mktemp("runs") / "mae")


@pytest.fixture
def refused(capsys):
    """Runs a command that must be refused; returns the one line it answers with."""

    def run(*argv, status=2):
        capsys.readouterr()  # what earlier commands said
        assert cli.main([str(word) for word in argv]) == status
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("jaxssl: ")
        return lines[0]

    return run


@pytest.fixture
def untrained(monkeypatch):
    """Runs end where training would begin."""
    outcome = loop.Outcome(step=1, total_steps=1, stopped=False)
    return lambda: monkeypatch.setattr(loop, "train", lambda *_, **__: outcome)
