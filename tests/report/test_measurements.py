"""Tables of results: every evaluator has its rows, and the sentence is one they bear out."""

from pathlib import Path

from jaxssl.evaluation import summary
from jaxssl.report import measurements


def record(evaluator, encoder="trained", results=None, **described):
    subject = {"encoder": encoder}
    if encoder == "random":
        subject["weights_seed"] = described.pop("seed", 0)
    described = {"evaluator": evaluator, "layer": "pooled"} | described
    return {"protocol": described, "subject": subject, "results": results}


def linear(encoder, value, **more):
    probe = {"layer": "pooled", "num_features": 8, "test_accuracy": value, "half_width": 0.01}
    return record("linear", encoder, probe | {"candidates": [{"holdout_accuracy": value}]}, **more)


RECORDS = [
    linear("trained", 0.9),
    linear("random", 0.6, seed=0),
    linear("random", 0.7, seed=1),
    record("clustering", results={"nmi": 0.5, "accuracy": 0.25}),
    record(
        "robustness",
        results={
            "clean": {"accuracy": 0.9},
            "kinds": {"noise": [{"accuracy": 0.8}, {"accuracy": 0.7}], "none": []},
            "mean_accuracy": 0.75,
        },
    ),
    record(
        "pretext",
        results={
            "trained": {"loss": 0.5, "half_width": 0.1, "two_words": 0.75},
            "untrained": {"loss": 2.0, "half_width": 0.1, "two_words": 0.25},
        },
        num_priced=1024,
        test_split="test",
    ),
]


def test_everything_has_a_row_and_every_encoder_a_column():
    (table,) = measurements.everything(RECORDS)
    assert table.heads == ("", "trained", "random weights")
    assert dict((name, cells) for name, *cells in table.rows) == {
        "linear probe, pooled, %": ["90.00 ± 1.00", "65.00 ± 7.07 sd"],
        "clustering, NMI, pooled, %": ["50.00", "-"],
        "clustering, accuracy by assignment, pooled, %": ["25.00", "-"],
        "linear probe, mean of corruptions, %": ["75.00", "-"],
    }
    assert measurements.everything([RECORDS[-1]]) == []


def test_the_result_comes_in_two_lines():
    found = summary.summarise(RECORDS)
    table = measurements.summed_up(found)
    assert table.heads == ("", "trained", "random weights")
    assert table.rows == (("all labels, %", "90.00", "65.00"),)
    assert "all labels, trained: pooled, 8 features." in table.sentence
    sentence = measurements.judgement(Path("run"), RECORDS, found)
    assert "25.0 points above the same network with random weights" in sentence


def test_the_task_on_new_examples_stands_beside_the_beginning():
    (table,) = measurements.pretext(RECORDS)
    assert table.rows == (("loss", "0.5", "2"), ("two words", "0.75", "0.25"))
    assert "on 1,024 examples of test" in table.sentence


def test_corruptions_have_a_column_for_each_strength():
    (table,) = measurements.corruptions(RECORDS)
    assert table.heads == ("", "strength 1", "strength 2")
    assert table.rows == (("noise", "80.0", "70.0"), ("none", "-", "-"))
    assert "as they are 90.0 %" in table.sentence


def test_what_is_not_measured_says_how_to():
    assert "jaxssl evaluate runs/a does" in measurements.judgement(Path("runs/a"), [], None)


def test_a_fine_tuned_run_is_judged_by_its_own_accuracy():
    tuned = record(
        "finetune",
        results={"test_accuracy": 0.5, "half_width": 0.125},
        train_size=1000,
        test_size=2000,
    )
    assert measurements.judgement(Path("a"), [*RECORDS, tuned], summary.summarise(RECORDS)) == (
        "After 1,000 labels it names 50.00 ± 12.50 % of 2,000 test images right."
    )
