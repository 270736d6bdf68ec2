"""A page of one file, for eyes and for readers of screens."""

import re

import pytest

from jaxssl.report import canvas, page


def parts_of(folder):
    figure = canvas.new_figure(4, 2)
    axis = figure.subplots()
    axis.plot([1, 2], [3, 4], color="black")
    axis.set_title("a <title> & more")
    for name in ("first.svg", "second.svg", "third.png"):
        canvas.save(figure, folder / name)
    return [
        page.Picture("One", "A sentence.", folder / "first.svg", 'what "is" seen'),
        page.Picture("Two", "Another.", folder / "second.svg"),
        page.Picture("Three", "A third.", folder / "third.png"),
        page.Picture("Four", "not there yet", None),
        page.Table("Five", "", (), (("<name>", "value"),), "facts", folded=True),
    ]


def test_the_page_is_one_file_that_loads_nothing(tmp_path):
    text = page.render("<b>", parts_of(tmp_path), lead="x < y")
    assert "<h1>&lt;b&gt;</h1>" in text and '<p class="lead">x &lt; y</p>' in text
    assert '<meta name="viewport" content="width=device-width' in text
    assert "prefers-color-scheme:dark" in text
    places = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert places and all(each.startswith(("data:image/png;base64,", "#")) for each in places)
    assert not re.search(r"url\((?!#)|@import", text)


def test_pictures_say_what_is_seen_and_do_not_share_names(tmp_path):
    text = page.render("x", parts_of(tmp_path))
    assert 'aria-label="what &quot;is&quot; seen"' in text and 'aria-label="Another."' in text
    assert 'alt="A third."' in text and "not there yet" in text
    names = re.findall(r'\bid="([^"]*)"', text)
    assert len(names) == len(set(names)) > 10
    used = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text))
    assert used and {a or b for a, b in used} <= set(names)
    assert "<details>" in text and '<th scope="row">&lt;name&gt;</th><td>value</td>' in text


def test_drawings_take_the_colours_of_the_page_and_their_texts_are_texts(tmp_path):
    parts_of(tmp_path)
    drawing = (tmp_path / "first.svg").read_text()
    assert "a &lt;title&gt; &amp; more</text>" in drawing
    assert "currentColor" in drawing and "#000000" not in drawing and "#ffffff" not in drawing


@pytest.mark.parametrize(("width", "kind"), [(3.8, "fits"), (4.3, "scroll")])
def test_what_is_wider_than_a_phone_scrolls_by_itself(tmp_path, width, kind):
    canvas.save(canvas.new_figure(width, 1), tmp_path / "a.svg")
    text = page.render("x", [page.Picture("t", "s", tmp_path / "a.svg")])
    assert f'<div class="{kind}"><svg ' in text
