"""The page in a browser: at the width of a desk and of a phone, without the network."""

import html
import json
import re
import shutil
import subprocess

import pytest

from jaxssl import report
from jaxssl.evaluation import evaluate, knn
from jaxssl.evaluation.subject import Subject

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
MIN_TEXT = 11  # pixels
# Measures the page in a frame of a width: what sticks out, and the smallest text.
MEASURING = """
<iframe id="frame" style="width:%dpx;height:900px;border:0" srcdoc="%s"></iframe>
<pre id="found"></pre>
<script>
document.getElementById("frame").onload = function () {
  const page = this.contentDocument;
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  let smallest = [1000, ""];
  while (walker.nextNode()) {
    const holder = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || holder.closest("style, script")) continue;
    const turned = holder.getScreenCTM ? holder.getScreenCTM() : {a: 1, b: 0};
    const size = Math.hypot(turned.a, turned.b) * parseFloat(getComputedStyle(holder).fontSize);
    if (size < smallest[0]) smallest = [size, walker.currentNode.data];
  }
  const loaded = this.contentWindow.performance.getEntriesByType("resource");
  document.getElementById("found").textContent = JSON.stringify({
    width: page.documentElement.scrollWidth,
    smallest: smallest,
    loaded: loaded.filter(each => !each.name.startsWith("data:")).map(each => each.name),
  });
};
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out_nothing_is_tiny_and_nothing_is_loaded(run, tmp_path, width):
    subject = Subject(batch_size=8)
    evaluate.knn_eval(run, subject, knn.KnnConfig(num_neighbors=(3,)))
    page = report.draw(run)[-1].read_text()
    place = tmp_path / "measuring.html"
    place.write_text(MEASURING % (width, html.escape(page)))
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000")
    shown = subprocess.run(
        [BROWSER, *options, "--window-size=1300,1000", "--dump-dom", place.as_uri()],
        capture_output=True, check=True, text=True, timeout=120,
    ).stdout  # fmt: skip
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', shown)[1]))
    assert found["width"] <= width and found["loaded"] == []
    size, text = found["smallest"]
    assert size >= MIN_TEXT, text
