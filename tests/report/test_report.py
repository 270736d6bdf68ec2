"""The report of a real, tiny run: every picture is there, and what is missing is said."""

import re

from jaxssl import report
from jaxssl.evaluation import evaluate, knn
from jaxssl.evaluation.subject import Subject

FEATURE_PICTURES = {"views.svg", "neighbours.svg", "embedding.svg", "patches.svg"}


def test_draws_what_there_is_and_says_what_is_missing(run, capsys, names):
    paths = report.draw(run)
    assert names(paths) == FEATURE_PICTURES | {"curve.svg", "collapse.svg", "index.html"}
    message = capsys.readouterr().err
    assert message.startswith("Accuracies left out: not evaluated yet; ")
    assert "Accuracy by depth left out: no stages measured yet; " in message
    assert f"jaxssl linear-eval {run}" in message
    page = (run / "report" / "index.html").read_text()
    assert "MAE on " in page
    assert f"jaxssl knn-eval {run}" in page
    assert f"Nobody has measured yet what it is worth: jaxssl evaluate {run} does." in page
    heads = re.findall("<h2>(.*?)</h2>", page)
    assert heads[:4] == ["This run", "Collapse", "Training curve", "The task"]
    assert heads[-1] == "Recipe" and '<th scope="row">method.mask_ratio</th>' in page
    assert "2 of 2</td>" in page and "of the encoder, " in page
    assert page.count("<svg ") == len(FEATURE_PICTURES) + 2 and "src=" not in page


def test_draws_accuracies_once_they_are_measured(run, capsys, names):
    for encoder in ("trained", "pixels"):
        subject = Subject(encoder=encoder, batch_size=8)
        evaluate.knn_eval(run, subject, knn.KnnConfig(num_neighbors=(3,)))
    paths = report.draw(run)
    drawn = {"curve.svg", "collapse.svg", "accuracy.svg", "depth.svg", "index.html"}
    assert names(paths) == FEATURE_PICTURES | drawn
    assert capsys.readouterr().err == ""
    assert "same protocol" not in (run / "report" / "index.html").read_text()
