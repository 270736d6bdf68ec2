"""What of a film its fingerprint sees, and how much of it is read."""

import hashlib

import numpy as np
import pytest

from jaxssl.data import filmprint

CLIPS = np.arange(6).reshape(3, 2)


@pytest.fixture
def film(tmp_path):
    """A file of 4,000 bytes of which sixteen parts of 10 are read, and how it is changed."""
    path = tmp_path / "film.mp4"
    content = np.random.default_rng(0).integers(0, 256, 4000, np.uint8)

    def write(*, byte=None, more=0):
        changed = np.append(content, np.zeros(more, np.uint8))
        if byte is not None:
            changed[byte] ^= 1
        path.write_bytes(changed.tobytes())
        return path

    return write


def test_large_films_are_told_by_their_size_and_sixteen_parts(film, monkeypatch):
    monkeypatch.setattr(filmprint, "CHUNK", 10)
    known = filmprint.fingerprint(CLIPS, [film()])
    for byte in (0, 9, 266, 275, 3990, 3999, -1):
        assert filmprint.fingerprint(CLIPS, [film(byte=byte)]) != known, byte
    assert filmprint.fingerprint(CLIPS, [film(more=1)]) != known
    assert filmprint.fingerprint(CLIPS + 1, [film()]) != known
    assert filmprint.fingerprint(CLIPS, [film(byte=100)]) == known  # between two parts
    assert filmprint.fingerprint(CLIPS, [film(byte=100)], read_all=True) != known


@pytest.mark.parametrize("options", [{}, {"read_all": True}], ids=["small", "all"])
def test_records_of_earlier_versions_hold_the_hash_of_every_byte(film, options, monkeypatch):
    if options:
        monkeypatch.setattr(filmprint, "CHUNK", 10)
    digest = hashlib.sha256(np.ascontiguousarray(CLIPS))
    digest.update(hashlib.sha256(film().read_bytes()).digest())
    assert filmprint.fingerprint(CLIPS, [film()], **options) == digest.hexdigest()


def test_of_a_film_of_gigabytes_a_megabyte_is_read(tmp_path, monkeypatch):
    path = tmp_path / "long.mkv"
    with open(path, "wb") as file:
        file.truncate(8 * 2**30)  # sparse
    read = []

    class Counting:
        def __init__(self, *arguments):
            self.file = open(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def seek(self, place):
            self.file.seek(place)

        def read(self, count):
            read.append(count)
            return self.file.read(count)

    monkeypatch.setattr(filmprint, "open", Counting, raising=False)
    filmprint.fingerprint(CLIPS, [path])
    assert sum(read) == 2**20
