import threading

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import order, readahead


@pytest.fixture
def numbered():
    """Twenty images whose pixels are their row number."""
    rows = np.arange(20, dtype=np.uint8)
    return data.from_arrays(np.tile(rows[:, None, None, None], (1, 2, 2, 1)), rows)


class Decoded:
    """The same records as a source that decodes on demand, counting how many it decoded."""

    def __init__(self, source, broken=()):
        self._source = source
        self._broken = broken
        self.decoded = []
        self.name, self.labelled = source.name, source.labelled
        self.class_names, self.num_classes = source.class_names, source.num_classes
        self.fingerprint = source.fingerprint

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        self.decoded.append(index)
        if index in self._broken:
            raise ValueError(f"row {index} is broken")
        return self._source[index]


def numbers(batch):
    return batch["image"][:, 0, 0, 0].tolist()


def drawn(loader, steps):
    return [number for step in steps for number in numbers(loader.batch(step))]


def grain_threads():
    return [each for each in threading.enumerate() if "grain" in each.name]


def test_permutation_is_one_and_depends_on_both_keys():
    orders = [order.permutation(50, key=key) for key in ((0, 0), (0, 1), (1, 0))]
    for each in orders:
        assert sorted(each) == list(range(50))
    assert len({tuple(each) for each in orders}) == 3


def test_permutation_never_changes():
    # A run that was interrupted must continue in the same order after any upgrade. Made once with
    # NumPy 2.4 by: np.argsort(np.random.Philox(key=np.array([7, 3], np.uint64)).random_raw(8))
    assert order.permutation(8, key=(7, 3)).tolist() == [2, 5, 7, 3, 0, 6, 4, 1]


def test_permutations_are_uniform():
    counts = np.zeros((4, 4))
    for seed in range(2000):
        counts[np.arange(4), order.permutation(4, key=(seed, 0))] += 1
    assert abs(counts / 2000 - 0.25).max() < 0.05


def test_an_epoch_has_no_duplicates_and_drops_the_remainder(numbered):
    loader = data.Loader(numbered, batch_size=6, seed=1)
    assert loader.steps_per_epoch == 3
    for epoch in range(3):
        rows = drawn(loader, range(3 * epoch, 3 * epoch + 3))
        assert len(rows) == len(set(rows)) == 18


def test_epochs_and_seeds_differ_and_what_is_dropped_too(numbered):
    def epoch(seed, index):
        loader = data.Loader(numbered, batch_size=6, seed=seed)
        return tuple(drawn(loader, range(3 * index, 3 * index + 3)))

    epochs = [epoch(seed, index) for seed in (0, 1) for index in (0, 1)]
    assert len(set(epochs)) == 4
    assert len({frozenset(range(20)) - frozenset(each) for each in epochs}) > 1


def test_training_batches_have_no_labels(numbered):
    loader = data.Loader(numbered, batch_size=4, seed=0)
    assert set(loader.batch(0)) == {"image", "index"}
    with data.Loader(Decoded(numbered), batch_size=4, seed=0) as decoded:
        assert set(decoded.batch(0)) == {"image", "index"}


@pytest.mark.parametrize("wrap", [lambda source: source, Decoded])
def test_processes_share_the_batch_of_one_process(numbered, wrap):
    whole = data.Loader(numbered, batch_size=8, seed=3)
    parts = [
        data.Loader(wrap(numbered), batch_size=8, seed=3, process=(index, 4)) for index in range(4)
    ]
    for step in range(5):
        batches = [part.batch(step) for part in parts]
        assert [len(numbers(each)) for each in batches] == [2] * 4
        for batch in (*batches, whole.batch(step)):  # the pixels of an image are its row number
            assert batch["index"].dtype == np.int32
            assert batch["index"].tolist() == numbers(batch)
        assert np.concatenate([numbers(each) for each in batches]).tolist() == numbers(
            whole.batch(step)
        )
    for part in parts:
        part.close()


def test_decoding_gives_the_batches_of_memory_in_any_order(numbered):
    memory = data.Loader(numbered, batch_size=6, seed=5)
    with data.Loader(Decoded(numbered), batch_size=6, seed=5, num_threads=3) as decoded:
        for step in (0, 1, 2, 3, 4, 40, 41, 2, 2, 1000, 0):
            batch = decoded.batch(step)["image"]
            assert batch.dtype == np.uint8
            np.testing.assert_array_equal(batch, memory.batch(step)["image"])


def test_reading_ahead_is_bounded_and_not_repeated(numbered):
    source = Decoded(numbered)
    with data.Loader(source, batch_size=4, seed=0, num_threads=2) as loader:
        for step in range(3):
            loader.batch(step)
    # Three batches taken, at most two ahead, each decoded once.
    assert 12 <= len(source.decoded) <= 20
    assert len(set(source.decoded)) == len(source.decoded)


@pytest.mark.parametrize("process", [0, 1])
def test_an_example_is_the_first_of_the_first_batch_and_all_that_is_decoded(numbered, process):
    options = {"batch_size": 6, "seed": 5, "process": (process, 2)}
    source = Decoded(numbered)
    with data.Loader(source, **options) as decoding:
        example = decoding.example()
    memory = data.Loader(numbered, **options)
    assert example.keys() == memory.example().keys() == memory.batch(0).keys()
    for name, column in memory.batch(0).items():
        for found in (example[name], memory.example()[name]):
            np.testing.assert_array_equal(found, column[:1])
            assert found.dtype == column.dtype
    assert source.decoded == example["index"].tolist()


def test_closing_ends_the_threads_and_the_loader_goes_on(numbered):
    before = grain_threads()  # of other tests, until they are collected
    loader = data.Loader(Decoded(numbered), batch_size=4, seed=0)
    first = numbers(loader.batch(0))
    threads = [thread for thread in grain_threads() if thread not in before]
    assert threads
    loader.close()
    for thread in threads:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in threads)
    assert numbers(loader.batch(0)) == first
    loader.close()
    loader.close()


def test_a_broken_record_raises_each_time_and_the_rest_stays_right(numbered):
    plain = data.Loader(numbered, batch_size=5, seed=2)
    broken = numbers(plain.batch(1))[3]
    with data.Loader(Decoded(numbered, broken=(broken,)), batch_size=5, seed=2) as loader:
        for _ in range(2):
            assert numbers(loader.batch(0)) == numbers(plain.batch(0))
            with pytest.raises(ValueError, match=f"row {broken} is broken"):
                loader.batch(1)
            for step in (2, 3):
                assert numbers(loader.batch(step)) == numbers(plain.batch(step))


@pytest.mark.parametrize("wrap", [lambda source: source, Decoded])
def test_batches_walk_once_in_order_with_labels(numbered, wrap):
    found = list(data.batches(wrap(numbered), 6))
    assert [len(batch["image"]) for batch in found] == [6, 6, 6, 2]
    assert [number for batch in found for number in numbers(batch)] == list(range(20))
    assert np.concatenate([batch["label"] for batch in found]).tolist() == list(range(20))
    assert {batch["label"].dtype for batch in found} == {np.dtype(np.int32)}


@pytest.mark.parametrize("wrap", [lambda source: source, Decoded])
def test_batches_of_unlabelled_sources_have_no_label(images, wrap):
    assert set(next(iter(data.batches(wrap(data.from_arrays(images)), 6)))) == {"image"}


def test_batches_left_early_end_their_threads(numbered):
    before = grain_threads()
    walk = data.batches(Decoded(numbered), 6)
    next(walk)
    threads = [thread for thread in grain_threads() if thread not in before]
    walk.close()
    for thread in threads:
        thread.join(timeout=10)
    assert threads and not any(thread.is_alive() for thread in threads)


def test_read_ahead_stops_at_its_end():
    ahead = readahead.ReadAhead(lambda row: row, start=3, stop=8, num_threads=2, num_ahead=2)
    assert [ahead.take(3), ahead.take(3), ahead.take(3)] == [[3, 4, 5], [6, 7], []]
    ahead.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"batch_size": 21},
            r"at least one batch of 21 examples; got 20. Set a batch size of at mo",
        ),
        ({"batch_size": 0}, r"batch_size must be a multiple .* got 0\."),
        (
            {"batch_size": 10, "process": (0, 4)},
            r"number of processes, 4; got 10. The nearest are 8 or 12",
        ),
        ({"batch_size": 3, "process": (0, 4)}, r"got 3. The nearest are 4"),
        ({"process": (2, 2)}, r"process must be in \[0, 2\); got 2"),
        ({"seed": -1}, r"seed must be in \[0, 18446744073709551616\); got -1"),
        ({"num_threads": 0}, r"num_threads must be at least 1; got 0"),
    ],
)
def test_loader_says_what_cannot_be(numbered, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.Loader(numbered, **{"batch_size": 4, "seed": 0, **arguments})


def test_negative_steps_and_empty_batches_are_refused(numbered):
    with pytest.raises(ValueError, match=r"step must be at least 0; got -1"):
        data.Loader(numbered, batch_size=4, seed=0).batch(-1)
    with pytest.raises(ValueError, match=r"batch_size must be at least 1; got 0"):
        next(iter(data.batches(numbered, 0)))
