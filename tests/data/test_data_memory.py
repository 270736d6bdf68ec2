"""Parts of a split, spread evenly and kept in memory."""

import numpy as np
import pytest

from jaxssl import data


def test_a_large_split_is_thinned_evenly(images, labels):
    source = data.from_arrays(images, labels, class_names=tuple("abcd"), name="birds")
    part = data.sample(source, 4)
    np.testing.assert_array_equal(part.columns["image"], images[[0, 6, 12, 19]])
    np.testing.assert_array_equal(part.labels, labels[[0, 6, 12, 19]])
    assert (part.name, part.class_names) == ("birds", ("a", "b", "c", "d"))
    assert part.fingerprint not in (source.fingerprint, data.sample(source, 5).fingerprint)
    np.testing.assert_array_equal(data.sample(source, 99).columns["image"], images)
    np.testing.assert_array_equal(data.sample(source, 1).columns["image"], images[:1])


def test_only_what_is_wanted_is_decoded(class_folder):
    source = data.ImageData(str(class_folder), 8, 3).open("all")
    for row in (1, 5, 10):  # of 12, the rows 0, 3, 7, 11 are wanted
        (source.source.listing.root / source.source.listing.files[row]).write_bytes(b"broken")
    part = data.sample(source, 4)
    assert isinstance(part, data.ArraySource) and part.class_names == ("cat", "dog")
    for place, row in enumerate((0, 3, 7, 11)):
        np.testing.assert_array_equal(part.columns["image"][place], source[row]["image"])
        assert part.labels[place] == source[row]["label"]


def test_unlabelled_data_stays_so(images):
    assert set(data.sample(data.from_arrays(images), 3).columns) == {"image"}


def test_nothing_is_no_sample(images):
    with pytest.raises(ValueError, match=r"sample: count must be at least 1; got 0"):
        data.sample(data.from_arrays(images), 0)
