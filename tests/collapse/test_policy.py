"""Collapse: when a run counts as collapsed, and what is done about it."""

import dataclasses

import pytest
from collapsing_run import RUN, Loader, last, method, rows, train

from jaxssl import checkpoints, cli, collapse
from jaxssl.collapse import policy
from jaxssl.runs import pretrain
from jaxssl.training import loop


def spread(value, step):
    return {"step": step, "collapse/embedding_spread": value, "collapse/feature_spread": 1.0}


def judged(values, *, last_step=100, **config):
    """What a guard says after rows at steps 10, 20, ..."""
    judge = policy.Guard(policy.CollapseConfig(**config), last_step=last_step)
    for number, value in enumerate(values, 1):
        judge.see(10 * number, spread(value, 10 * number))
    replayed = policy.Guard(policy.CollapseConfig(**config), last_step=last_step)
    replayed.replay(spread(value, 10 * number) for number, value in enumerate(values, 1))
    assert (replayed.collapse, replayed.suspected) == (judge.collapse, judge.suspected)
    return judge


@pytest.mark.parametrize(
    ("values", "first_step", "step"),
    [
        ([1, 0, 0, 1, 0, 0], None, None),  # never three in succession
        ([1, 0, 0, 0, 1], None, None),  # recovered
        ([1, 0, 0, 0], 20, 40),
        ([1, 0, 0, 0, 0, 0], 20, 40),
        ([0, 0, 0, 0.099], 10, 30),
        ([1, 1, 1, 0.11, 0.11, 0.11], None, None),
    ],
)
def test_collapsed_after_rows_in_succession(values, first_step, step):
    judge = judged(values, patience=3, grace_steps=0)
    found = judge.collapse
    assert found == (found and (("collapse/embedding_spread", 0, 0.1), first_step, step))
    assert (found is None) == (first_step is None)
    assert judge.suspected == (values[-1] < 0.1)


def test_the_first_steps_are_not_judged_but_belong_to_the_rows_in_succession():
    assert judged([0, 0, 0], patience=1, grace_steps=30).collapse is None
    assert not judged([0, 0, 0], patience=1, grace_steps=30).suspected
    found = judged([1, 0, 0, 0, 0], patience=2, grace_steps=30).collapse
    assert (found.first_step, found.step) == (20, 50)


def test_at_the_last_step_a_suspicion_is_enough():
    assert judged([1, 1, 0], patience=3, grace_steps=0, last_step=30).collapse.first_step == 30
    assert judged([1, 1, 0], patience=3, grace_steps=30, last_step=30).collapse is None


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"embedding_spread": 1.0, "embedding_rank": 1.2}, "embedding_rank"),
        ({"embedding_spread": 1.0, "prototypes_used": 1.1}, "prototypes_used"),
        ({"embedding_spread": 1.0, "feature_spread": 1.0, "feature_rank": 9.0}, None),
        ({"embedding_spread": 0.0, "feature_spread": 0.0}, "embedding_spread"),
        ({"embedding_spread": 1.0, "feature_spread": 0.0}, "feature_spread"),
        ({"embedding_rank": 9.0, "feature_rank": 1.0}, "feature_rank"),
        ({"feature_spread": 0.0, "feature_rank": 9.0}, "feature_spread"),
        ({"feature_spread": 1.0, "feature_rank": 1.0}, "feature_rank"),
        ({}, None),
    ],
)
def test_which_measurement_is_judged(row, name):
    judge = policy.Guard(policy.CollapseConfig(), last_step=9)
    found = judge.below({collapse.PREFIX + key: value for key, value in row.items()})
    assert (found and found.name) == (name and collapse.PREFIX + name)


def test_embeddings_that_shrink_are_judged_by_the_largest_so_far():
    judge = policy.Guard(policy.CollapseConfig(grace_steps=0), last_step=99)
    for step, scale in enumerate((0.15, 4.0, 0.3, 0.1), 1):
        judge.see(step, {"collapse/embedding_spread": 1.0, "collapse/embedding_scale": scale})
        assert judge.suspected == (step == 4)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("action", "halt", "action: must be one of 'ignore', 'warn', 'stop', 'rewind'; got 'halt'"),
        ("patience", 0, "patience: must be at least 1; got 0"),
        ("min_rank", -1.0, "min_rank: must be at least 0; got -1.0"),
        ("grace_steps", -1, "grace_steps: must be at least 0; got -1"),
    ],
)
def test_wrong_values_are_named(field, value, text):
    with pytest.raises(ValueError, match=f"^run.collapse.{text}"):
        policy.CollapseConfig(**{field: value})


FOUND = (
    r"the run has collapsed: collapse/embedding_spread is [\d.e-]+, below 0.1 at step 8 "
    r"\(suspected in every row since step 6\)\. "
)


def test_warn_says_it_once_and_ignore_nothing(tmp_path):
    outcome, text = train(tmp_path / "warn", of=method(dead=last(6)))
    assert outcome == loop.Outcome(10, 10, stopped=False)
    (line,) = (line for line in text.splitlines() if "collapsed" in line)
    assert line.startswith("warning: the run has collapsed: collapse/embedding_spread is ")
    assert "at step 8 (suspected in every row since step 6). Likely: a stop-gradient" in line
    assert checkpoints.complete_steps(tmp_path / "warn") == [2, 4, 6, 8, 10]
    _, text = train(tmp_path / "ignore", of=method(dead=last(6)), action="ignore")
    assert "collapsed" not in text
    assert rows(tmp_path / "ignore") == rows(tmp_path / "warn")


def test_stop_saves_nothing_that_is_suspected(tmp_path):
    ending = r"It stopped; the newest healthy checkpoint is step 4\. .* another --out\.$"
    for _ in range(2):  # a rerun comes to the same end
        with pytest.raises(policy.CollapsedError, match=FOUND + ending):
            train(tmp_path, of=method(dead=last(6)), action="stop")
        assert checkpoints.complete_steps(tmp_path) == [2, 4]
        assert [row["step"] for row in rows(tmp_path)] == list(range(1, 9))


def test_a_checkpoint_between_rows_is_measured_itself(tmp_path):
    run = dataclasses.replace(RUN, log_every=3)
    with pytest.raises(policy.CollapsedError, match=r"below 0.1 at step 9 .*since step 6"):
        # Dead from step 4 on: the row of step 3 is healthy, the state of step 4 is not.
        train(tmp_path, of=method(dead=last(4)), run=run, action="stop", patience=2)
    assert checkpoints.complete_steps(tmp_path) == [2]


def test_a_passing_dip_costs_one_checkpoint_and_no_run(tmp_path):
    of = method(dead=lambda count: count == 4)
    outcome, _ = train(tmp_path, of=of, action="stop")
    assert outcome == loop.Outcome(10, 10, stopped=False)
    assert checkpoints.complete_steps(tmp_path) == [2, 6, 8, 10]


def test_suspected_at_the_last_step_is_collapsed(tmp_path):
    with pytest.raises(policy.CollapsedError, match=r"at step 10\. It stopped; .* is step 8"):
        train(tmp_path, of=method(dead=last(10)), action="stop")
    assert checkpoints.complete_steps(tmp_path) == [2, 4, 6, 8]


def test_a_signal_while_suspected_saves_nothing(tmp_path):
    outcome, _ = train(tmp_path, of=method(dead=last(4)), loader=Loader(stop_at=4), action="stop")
    assert outcome == loop.Outcome(5, 10, stopped=True, saved=False)
    assert checkpoints.complete_steps(tmp_path) == [2]


def test_collapsed_from_the_beginning_has_no_healthy_checkpoint(tmp_path):
    with pytest.raises(policy.CollapsedError, match="It stopped; no healthy checkpoint was saved"):
        train(tmp_path, of=method(dead=last(0)), action="stop")
    assert checkpoints.complete_steps(tmp_path) == []


def test_rewind_leaves_the_newest_healthy_checkpoint_and_its_rows(tmp_path):
    healthy = train(tmp_path / "healthy")[0]
    assert healthy.step == 10
    ending = r"It stopped and went back to step 4, the newest healthy checkpoint\. "
    with pytest.raises(policy.CollapsedError, match=FOUND + ending):
        train(tmp_path / "run", of=method(dead=last(6)), action="rewind")
    assert checkpoints.complete_steps(tmp_path / "run") == [2, 4]
    assert rows(tmp_path / "run") == rows(tmp_path / "healthy")[:4]


def test_rewind_of_a_run_that_was_let_go_on(tmp_path):
    train(tmp_path, of=method(dead=last(6)), action="warn")
    # What lies in the directory is judged too: not one step is taken.
    with pytest.raises(policy.CollapsedError, match=r"\(later ones, to 10, are not: evaluate with"):
        train(tmp_path, of=method(dead=last(6)), action="stop")
    assert checkpoints.complete_steps(tmp_path) == [2, 4, 6, 8, 10]
    with pytest.raises(policy.CollapsedError, match=FOUND + "It stopped and went back to step 4"):
        train(tmp_path, of=method(dead=last(6)), action="rewind")
    assert checkpoints.complete_steps(tmp_path) == [2, 4]
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4]


def test_rewind_with_nothing_healthy_leaves_nothing(tmp_path):
    train(tmp_path, of=method(dead=last(0)))
    with pytest.raises(policy.CollapsedError, match="back to its beginning, since no healthy ch"):
        train(tmp_path, of=method(dead=last(0)), action="rewind")
    assert checkpoints.complete_steps(tmp_path) == []
    assert rows(tmp_path) == []


def test_killed_while_deleting_no_step_counts_that_cannot_be_restored(tmp_path, monkeypatch):
    train(tmp_path, run=dataclasses.replace(RUN, checkpoint_every=5))

    def killed(self, step):
        raise KeyboardInterrupt

    with checkpoints.Checkpoints(tmp_path) as saved:
        with monkeypatch.context() as patch:
            patch.setattr(type(saved._manager), "delete", killed)
            with pytest.raises(KeyboardInterrupt):
                saved.delete_after(5)
    assert checkpoints.complete_steps(tmp_path) == [5]
    assert (tmp_path / "checkpoints" / "10").exists()
    with checkpoints.Checkpoints(tmp_path) as saved:  # clears it away
        assert saved.latest_step() == 5
    assert not (tmp_path / "checkpoints" / "10").exists()


def test_status_and_message_of_the_command_line(tmp_path, monkeypatch, capsys):
    def collapses(config, *_, **__):
        assert config.run.collapse.action == "stop"
        raise policy.CollapsedError("the run has collapsed.")

    monkeypatch.setattr(pretrain, "run", collapses)
    words = ["simclr_fashion_mnist", "--out", str(tmp_path), "--run.collapse.action", "stop"]
    assert cli.main(["pretrain", *words]) == 1
    assert capsys.readouterr().err == "jaxssl: the run has collapsed.\n"
