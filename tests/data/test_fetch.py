import subprocess

import pytest

from jaxssl.data import fetch, known


@pytest.fixture(autouse=True)
def small_world(tmp_path, monkeypatch, tiny_fashion_mnist):
    """No Fashion-MNIST on this machine, and a tiny one that counts as complete."""
    monkeypatch.delenv("JAXSSL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(known, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    monkeypatch.setattr(fetch, "FILES", tuple(sorted(FILES)))


FILES = {
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte",
    "t10k-labels.idx1-ubyte",
}


def unreachable(*_, **__):
    raise OSError("no network in tests")


def test_on_disk_is_taken_first(idx_directory, monkeypatch, capsys):
    monkeypatch.setenv("JAXSSL_DATA", str(idx_directory))
    monkeypatch.setattr(fetch, "_run", unreachable)
    monkeypatch.setattr(fetch, "_download", unreachable)
    assert fetch.find_or_fetch_fashion_mnist() == idx_directory
    assert capsys.readouterr().out == f"Fashion-MNIST: found in {idx_directory}\n"


def test_an_incomplete_directory_does_not_count(idx_directory, monkeypatch, capsys):
    monkeypatch.setenv("JAXSSL_DATA", str(idx_directory))
    monkeypatch.setattr(fetch, "_run", unreachable)
    monkeypatch.setattr(fetch, "_download", unreachable)
    (idx_directory / "t10k-labels.idx1-ubyte").unlink()
    assert fetch.find_or_fetch_fashion_mnist() is None
    assert capsys.readouterr().out.count("\n") == 1


def test_another_data_set_does_not_count(idx_directory, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXSSL_DATA", str(idx_directory))
    monkeypatch.setattr(fetch, "_run", unreachable)
    monkeypatch.setattr(fetch, "URLS", (f"file://{idx_directory}/",))
    path = idx_directory / "t10k-labels.idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x02")
    assert fetch.find_or_fetch_fashion_mnist() is None
    assert list((tmp_path / "cache" / "jaxssl").iterdir()) == []


def test_what_nobody_can_change_on_the_way_is_tried_first():
    assert [url.split(":")[0] for url in fetch.URLS] == ["https", "http"]


def test_downloads_come_into_the_cache_whole(idx_directory, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(fetch, "_run", unreachable)
    monkeypatch.setattr(fetch, "URLS", (f"file://{tmp_path}/none/", f"file://{idx_directory}/"))
    target = tmp_path / "cache" / "jaxssl" / "fashion-mnist"
    assert fetch.find_or_fetch_fashion_mnist() == target
    assert {file.name for file in target.iterdir()} == FILES
    assert [path.name for path in target.parent.iterdir()] == ["fashion-mnist"]
    assert f"fetched from file://{idx_directory}/ into {target}" in capsys.readouterr().out
    assert fetch.find_or_fetch_fashion_mnist() == target
    assert f"found in {target}" in capsys.readouterr().out


def test_a_damaged_download_is_thrown_away(idx_directory, monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "_run", unreachable)
    monkeypatch.setattr(fetch, "URLS", (f"file://{idx_directory}/",))
    (idx_directory / "t10k-images-idx3-ubyte").write_bytes(b"<html>")
    assert fetch.find_or_fetch_fashion_mnist() is None
    assert list((tmp_path / "cache" / "jaxssl").iterdir()) == []


def test_debians_package_is_unpacked(idx_directory, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(known, "DEBIAN_FASHION_MNIST", known.pathlib.Path("/usr/share/none/here"))

    def run(command, directory):
        if command[0] == "apt-get":
            (directory / "package.deb").touch()
        else:
            inside = directory / "unpacked/usr/share/none"
            inside.mkdir(parents=True)
            subprocess.run(["cp", "-r", idx_directory, inside / "here"], check=True)

    monkeypatch.setattr(fetch, "_run", run)
    monkeypatch.setattr(fetch, "_download", unreachable)
    assert fetch.find_or_fetch_fashion_mnist() == tmp_path / "cache" / "jaxssl" / "fashion-mnist"
    assert "Debian's package" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [subprocess.TimeoutExpired("apt-get", 1), subprocess.CalledProcessError(100, "apt-get")],
)
def test_a_failing_command_is_not_an_error(error, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(fetch, "_run", fail)
    monkeypatch.setattr(fetch, "_download", unreachable)
    assert fetch.find_or_fetch_fashion_mnist() is None
    assert capsys.readouterr().out == "Fashion-MNIST: neither on this machine nor within reach\n"
