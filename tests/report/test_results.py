"""Pictures of evaluations: of the step and the splits that are shown, and what differs is said."""

from jaxssl import checkpoints
from jaxssl.evaluation import evaluate, few_label, knn, protocol, splits
from jaxssl.evaluation.subject import Subject
from jaxssl.report import results


def shown_records(run):
    meta = checkpoints.restore_encoder(run).meta
    return results.read_records(run, meta["step"], splits.open_splits(meta))


def test_accuracies_of_different_protocols_are_marked(run, tmp_path):
    for encoder, temperature in (("trained", 0.07), ("random", 0.5)):
        subject = Subject(encoder=encoder, batch_size=8)
        options = knn.KnnConfig(num_neighbors=(3,), temperature=temperature)
        evaluate.knn_eval(run, subject, options)
    picture = results.draw_accuracies(run, shown_records(run), tmp_path, num_classes=3)
    assert "Not all of them were measured under the same protocol" in picture.sentence


def test_draws_accuracy_by_labels_once_it_is_measured(run, tmp_path, names):
    for per_class in ((1,), (1, 2)):
        assert results.draw_few_labels(shown_records(run), tmp_path, num_classes=3) == []
        options = few_label.FewLabelConfig(per_class=per_class, fractions=(), draws=2)
        evaluate.few_label_eval(run, Subject(encoder="pixels", batch_size=8), options)
    (picture,) = results.draw_few_labels(shown_records(run), tmp_path, num_classes=3)
    assert names([picture.path]) == {"few-labels.svg"}


def test_only_results_of_the_step_and_splits_that_are_shown_count(run):
    before = shown_records(run)
    record = before[0]
    for change, step in (
        ({"train_split": "fit"}, record["subject"]["step"]),
        ({}, record["subject"]["step"] + 1),
    ):
        described, who = record["protocol"] | change, record["subject"] | {"step": step}
        place = protocol.path(run, described, who)
        protocol.write(place, protocol=described, subject=who, results=record["results"])
    assert shown_records(run) == before


def test_bars_of_grids_are_those_of_the_stage_that_held_out_images_choose():
    record = {
        "protocol": {"evaluator": "linear", "layer": "stage 3 as a 1 x 1 grid"},
        "results": {"test_accuracy": 0.6, "best": {"layer": "stage 0", "test_accuracy": 0.9}},
    }
    shown = results._at_best_grid(record)
    assert shown["protocol"]["layer"] == "stage 0" and shown["results"]["test_accuracy"] == 0.9
    pooled = record | {"protocol": {"evaluator": "linear", "layer": "pooled"}}
    assert results._at_best_grid(pooled) == pooled
