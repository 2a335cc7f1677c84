"""Reports in a real browser, where Chromium or Chrome is installed: nothing runs over, nothing fails, nothing loads."""

import json
import re
import shutil
import subprocess

import pytest

from fastbp import MLPClassifier, MLPRegressor
from fastbp.inspection import report
from report_cases import SETTINGS, diabetes, fitted, iris, tabular_classifier

BROWSER = next(
    filter(
        None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"))
    ),
    None,
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither Chromium nor Chrome is installed")

#: What a browser asks for on its own
OF_THE_BROWSER = re.compile(r"https?://([\w-]+\.)*(google|googleapis|gvt1|gstatic)\.com/")

#: A page with reports in frames of several widths, which writes down how wide their content is
WRAPPER = """<!DOCTYPE html><html><body><pre id="result"></pre><script>
const pages = %s, found = [];
for (const [name, html] of Object.entries(pages)) for (const width of [390, 1280]) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 800; frame.style.border = 0;
  frame.onload = () => {
    const page = frame.contentDocument, text = page.querySelector("svg text"), root = page.documentElement;
    const wide = [...page.querySelectorAll("figure, h1, h2, h3, p, svg, img, dl, .scroll, .finding")]
      .filter(one => one.getBoundingClientRect().right > width + 0.5).map(one => one.outerHTML.slice(0, 80));
    const inner = [...page.querySelectorAll("figure")].filter(one => one.scrollWidth > one.clientWidth + 1).length;
    found.push({name, width, scroll: Math.max(root.scrollWidth, page.body.scrollWidth), wide, inner,
      letters: text ? text.getBoundingClientRect().height : null,
      images: [...page.images].every(one => one.complete && one.naturalWidth > 0)});
    document.getElementById("result").textContent = JSON.stringify(found);
  };
  frame.srcdoc = html;
  document.body.append(frame);
}
</script></body></html>"""


def opened(tmp_path, pages):
    """Pages in the browser: (what was measured of them, lines of the console, addresses that were asked for)."""
    file, log = tmp_path / "wrapper.html", tmp_path / "net.json"
    file.write_text(WRAPPER % json.dumps(pages).replace("</", "<\\/"), "utf-8")
    process = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}",
            "--window-size=1400,900",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        timeout=100,
        check=True,
    )
    result = re.search(r'<pre id="result">(.*?)</pre>', process.stdout.decode("utf-8"), re.DOTALL)[1]
    console = [line for line in process.stderr.decode("utf-8", "replace").splitlines() if ":CONSOLE" in line]
    asked = set(re.findall(r'"url":"(https?://[^"]*)"', log.read_text("utf-8", "replace")))
    found = {
        (one["name"], one["width"]): one
        for one in json.loads(result.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    }
    assert len(found) == 2 * len(pages)
    return found, console, {url for url in asked if not OF_THE_BROWSER.match(url)}


def reports():
    """Pages with all that a report can have: images, tables, charts, long names."""
    X, y = iris()
    names = ["a very long name of a class that goes on and on " * 3, "b", "c" * 200]
    long_names = [f"a_column_with_a_very_long_name_without_any_space_in_it_{i}" * 2 for i in range(4)]
    labels = [names[number] for number in y]
    irises = report(fitted(MLPClassifier(**SETTINGS), X, labels), X, labels, feature_names=long_names, title="x" * 300)
    X, y = diabetes()
    numbers = report(fitted(MLPRegressor("gaussian", **SETTINGS), X, y), X, y, n_repeats=1)
    X, y = X.repeat(7, axis=1)[:, :64], (y > 0) + 2 * (X[:, 0] > 0)
    deep = MLPClassifier(**{**SETTINGS, "hidden_layer_sizes": [30] * 20, "activation": "logistic"})
    images = report(fitted(deep, X, y), X, y, n_repeats=1)
    table = report(*tabular_classifier(), n_repeats=1)
    return {
        "irises": irises.to_html(),
        "numbers": numbers.to_html(),
        "images": images.to_html(),
        "table": table.to_html(),
    }


def test_reports_fit_into_the_window_and_load_nothing(tmp_path):
    found, console, asked = opened(tmp_path, reports())
    assert console == []
    assert asked == set()
    for (name, width), one in found.items():
        assert one["scroll"] <= width, (name, width)
        assert one["wide"] == [], (name, width)
        assert one["inner"] == 0, (name, width)
        assert one["letters"] >= 11, (name, width)  # pixels: legible on a phone
        assert one["images"]


def test_these_checks_would_find_it(tmp_path):
    html = report(fitted(MLPClassifier(**SETTINGS), *iris()), *iris(), n_repeats=0).to_html()
    html = html.replace(
        "</main>", '<figure style="width:900px">wide</figure><img src="http://example.invalid/a.png"></main>'
    )
    free = re.sub(r"<meta[^>]*Content-Security-Policy[^>]*>", "", html.replace('content="default', 'data-x="default'))
    found, console, asked = opened(tmp_path, {"with policy": html, "without": free})
    assert found["without", 390]["scroll"] > 390
    assert found["without", 390]["wide"]
    assert len(console) >= 2  # refused by the policy, in each of the two frames
    assert all("Content Security Policy" in line for line in console if "with policy" in line)
    assert asked == {"http://example.invalid/a.png"}
