import json

from jaxssl.evaluation import summary


def _linear(encoder, layers, **subject):
    """A record of the linear evaluation: {layer: (held-out accuracy, test accuracy)}."""
    measured = [
        {
            "layer": layer,
            "num_features": 1000 + index,
            "test_accuracy": test,
            "candidates": [{"holdout_accuracy": held_out - 0.1}, {"holdout_accuracy": held_out}],
        }
        for index, (layer, (held_out, test)) in enumerate(layers.items())
    ]
    results = measured[0] | ({"stages": measured[1:]} if measured[1:] else {})
    return {
        "protocol": {"evaluator": "linear"},
        "subject": {"encoder": encoder} | subject,
        "results": results,
    }


def _few(encoder, layers, budget="10 per class"):
    """A record of few labels: {layer: (cross-validated loss, test accuracy)}."""
    return {
        "protocol": {"evaluator": "few-label"},
        "subject": {"encoder": encoder},
        "results": {
            "layers": {
                layer: {budget: {"cv_loss": own, "test_accuracy": test, "draws": [{}, {}]}}
                for layer, (own, test) in layers.items()
            }
        },
    }


RECORDS = [
    _linear("trained", {"pooled": (0.7, 0.95), "stage 0": (0.9, 0.88)}),
    _linear("trained", {"stage 0 as a 7 x 7 grid": (0.91, 0.87)}),
    _linear("random", {"pooled": (0.6, 0.60)}, weights_seed=0),
    _linear("random", {"pooled": (0.6, 0.64)}, weights_seed=1),
    _linear("pixels", {"pooled": (0.8, 0.85)}),
    _few("trained", {"pooled": (0.6, 0.9), "stage 0": (0.5, 0.75)}),
    _few("pixels", {"pooled": (0.4, 0.7)}),
    _few("random", {"pooled": (0.4, 0.7)}, budget="1 %"),
]


def test_layers_are_chosen_without_the_test_split_and_seeds_averaged():
    found = summary.summarise(RECORDS)
    assert json.loads(json.dumps(found)) == {
        "all_labels": {
            "trained": 87.0,
            "random": 62.0,
            "pixels": 85.0,
            "probed": {
                "trained": "stage 0 as a 7 x 7 grid, 1,000 features",
                "random": "pooled, 1,000 features",
                "pixels": "pooled, 1,000 features",
            },
        },
        "10_per_class": {
            "trained": 75.0,
            "pixels": 70.0,
            "probed": {
                "trained": "stage 0, mean of 2 draws",
                "pixels": "pooled, mean of 2 draws",
            },
        },
    }


def test_the_sentence_is_true_whichever_is_better():
    found = summary.summarise(RECORDS)
    assert summary.sentence(found) == (
        "A linear classifier on the trained features is, with all labels 25.0 points above the "
        "same network with random weights and 2.0 points above raw pixels; with 10 labels a class "
        "5.0 points above raw pixels."
    )
    found["all_labels"]["pixels"] = 90.0
    assert "3.0 points below raw pixels" in summary.sentence(found)
    assert summary.sentence({"all_labels": {"trained": 1.0}}).startswith(
        "Trained features were not"
    )


def test_the_table_shows_what_was_measured():
    lines = summary.table(summary.summarise(RECORDS))
    assert lines[0].split() == ["trained", "random", "pixels"]
    assert lines[1].split() == ["all", "labels", "87.00", "62.00", "85.00"]
    assert lines[2].split() == ["10", "labels", "a", "class", "75.00", "-", "70.00"]
    assert lines[3] == "  all labels, trained: stage 0 as a 7 x 7 grid, 1,000 features"


def test_nothing_without_a_linear_evaluation():
    assert summary.summarise(RECORDS[5:]) is None
