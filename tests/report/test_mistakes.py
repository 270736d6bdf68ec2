"""What is taken for what: of the best layer, its worst mistakes in a sentence, cells tinted."""

from jaxssl.report import mistakes, page


def record(encoder, layer, confusion, **more):
    results = {"layer": layer, "classes": [0, 7], "confusion": confusion}
    described = {"evaluator": "linear", "layer": layer}
    return {"protocol": described, "subject": {"encoder": encoder}, "results": results | more}


POOLED = record("trained", "pooled", [[5, 5], [0, 8]])
STAGES = [
    {"layer": "stage 0", "classes": [0, 7], "confusion": [[9, 1], [2, 6]]},
    {"layer": "stage 1", "classes": [0, 7], "confusion": [[8, 2], [8, 0]]},
]
GRIDS = record("trained", "stage 1", [[8, 2], [8, 0]], stages=STAGES, best={"layer": "stage 0"})
GRIDS["results"]["class_names"] = ["a <bag>", "boot"]


def test_it_is_of_the_layer_that_held_out_images_choose():
    (table,) = mistakes.confusions([POOLED, GRIDS])
    assert table.heads == ("", "a <bag>", "boot")
    assert table.rows == (("a <bag>", "90", "10"), ("boot", "25", "75"))
    assert "(stage 0)" in table.sentence
    assert "Most often it takes boot for a <bag> (25 %), a <bag> for boot (10 %)." in table.sentence


def test_without_names_classes_are_their_labels():
    (table,) = mistakes.confusions([POOLED])
    assert table.rows == (("0", "50", "50"), ("7", "", "100"))


def test_there_is_none_without_a_trained_linear_probe_of_few_classes():
    many = record("trained", "pooled", None)
    del many["results"]["confusion"]
    assert mistakes.confusions([record("random", "pooled", [[1, 0], [0, 1]]), many]) == []


def test_cells_are_tinted_by_their_share_and_names_escaped():
    text = page.render("run", mistakes.confusions([GRIDS]))
    assert '<td style="--share:25">25</td>' in text
    assert "a &lt;bag&gt;" in text and "<bag>" not in text
    perfect = mistakes.confusions([record("trained", "pooled", [[4, 0], [0, 4]])])
    assert '<td style="--share:0"></td>' in page.render("run", perfect)
    assert "It makes no mistake." in perfect[0].sentence
