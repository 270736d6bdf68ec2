"""What jaxssl finds on a machine, and the table of what ships."""

import importlib.metadata

import jax
import pytest
import tiny_runs

from jaxssl import cli
from jaxssl.cli import compile_cache


def lines(capsys, command):
    assert cli.main([command]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_doctor_names_versions_devices_and_places(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv(compile_cache.OPTION, str(tmp_path))
    entry = compile_cache.directory() / "x-cache"
    entry.parent.mkdir()
    entry.write_bytes(b"0" * 2 * 10**8)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "jaxssl" / "fashion-mnist").mkdir(parents=True)
    monkeypatch.delenv("JAXSSL_DATA", raising=False)
    text = "\n".join(lines(capsys, "doctor"))
    assert f"jax {jax.__version__}" in text
    assert text.count("cpu ") >= jax.local_device_count()
    assert f"{entry.parent}: 1 programs, 0.2 GB" in text
    assert f"fashion-mnist: {tmp_path}/jaxssl/fashion-mnist" in text


def test_the_doctor_says_how_to_get_what_is_missing(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("jaxssl.data.known.fashion_mnist_places", lambda: (tmp_path / "no",))
    asked = ["numpy>=2", 'av>=14; extra == "video"', "no-such-thing>=1; extra == 'more'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: asked)
    text = "\n".join(lines(capsys, "doctor"))
    assert "fashion-mnist: missing; python -m jaxssl.data.fetch" in text
    assert 'more: missing no-such-thing; pip install "jaxssl[more]"' in text
    assert f"video: av {importlib.metadata.version('av')}" in text
    assert "not kept by jaxssl" in text


def test_the_doctor_of_a_checkout_alone(capsys, monkeypatch):
    def missing(_):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert "jaxssl itself is not installed; pip install -e ." in lines(capsys, "doctor")[-1]


def test_recipes_are_a_table_of_all_that_ships(capsys):
    head, *rows = lines(capsys, "recipes")
    assert [row.split()[0] for row in rows] == tiny_runs.NAMES
    (found,) = (row for row in rows if row.startswith("mae_fashion_mnist "))
    columns = ("recipe", "method", "encoder", "data", "epochs x batch")
    starts = [head.index(name) for name in columns]
    cells = [found[a:b].strip() for a, b in zip(starts, [*starts[1:], None])]
    assert cells[:4] == ["mae_fashion_mnist", "MAE", "ViT", "fashion-mnist"]
    assert cells[4].startswith("4 x 64 ")


@pytest.mark.parametrize("name", ["recipes", "doctor"])
def test_words_that_nothing_uses_are_refused(refused, name):
    assert "--all: no such option" in refused(name, "--all")
