"""What watches a run sees of it, and what it may do: forbid a save, end it, change nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_loop

from jaxssl import checkpoints, watching


class Measuring(watching.Watcher):
    """Measures every row with a program of its own; keeps what it was told."""

    def __init__(self):
        self.heard = []

    def begin(self, run):
        self.heard.append(("begin", run.step, len(run.history)))

    def measure(self, state, batch):
        return {"size": jax.jit(lambda x: jnp.sum(jnp.square(x)))(state.params["encoder"])}

    def see(self, row):
        self.heard.append(("see", row["step"], row["size"]))

    def sync(self):
        self.heard.append(("sync",))

    def close(self):
        self.heard.append(("close",))


def test_a_watcher_sees_the_run_and_changes_no_number_of_it(whole, tmp_path):
    """With all watchers, with one of somebody's own, with none: the same bits."""
    watcher = Measuring()
    tiny_loop.train(tmp_path / "own", watchers=[watcher])
    tiny_loop.train(tmp_path / "none", watchers=[])
    assert not (tmp_path / "none" / "metrics.jsonl").exists()
    for out in (tmp_path / "own", tmp_path / "none"):
        jax.tree.map(
            np.testing.assert_array_equal,
            tiny_loop.final_state(out),
            tiny_loop.final_state(whole[0]),
        )
    assert watcher.heard[0] == ("begin", 0, 0) and watcher.heard[-1] == ("close",)
    seen = [each for each in watcher.heard if each[0] == "see"]
    assert [step for _, step, _ in seen] == list(range(1, 11))
    assert seen[-1][2] == pytest.approx(
        float((tiny_loop.final_state(whole[0]).params["encoder"] ** 2).sum())
    )
    assert sum(each == ("sync",) for each in watcher.heard) == 4  # one a checkpoint


def test_a_watcher_may_forbid_a_save_and_end_a_run(tmp_path):
    class Strict(watching.Watcher):
        def allows_save(self, state, batch):
            return int(state.step) != 6

        def see(self, row):
            if row["step"] == 8:
                raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        tiny_loop.train(tmp_path, watchers=[Strict()])
    assert checkpoints.complete_steps(tmp_path) == [3]


def test_watchers_of_a_recipe_are_built_for_each_call(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Config:
        def build(self):
            built.append(Measuring())
            return built[-1]

    built = []
    run = dataclasses.replace(tiny_loop.RUN, watchers=(Config(),))
    for _ in range(2):
        tiny_loop.train(tmp_path, run=run)
    first, again = (watcher.heard for watcher in built)
    assert first[0] == ("begin", 0, 0) and again == [("begin", 10, 10), ("close",)]
