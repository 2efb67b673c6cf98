"""The report as a browser shows it."""

import shutil
import subprocess

import pytest
from simulated_result import PROVENANCE, write_result

from zoo.reporting.report import write_report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
HOSTILE = '<script>document.title="pwned"</script><img src=x onerror=document.title="pwned">'

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
]


def chromium(tmp_path, page, *options):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_strings_of_the_file_stay_text(tmp_path):
    result = write_result(
        tmp_path / "evil.h5ad",
        labels=[f"label {HOSTILE}", "B cell", "$\\frac{"],
        names=[f"cell{row} {HOSTILE}" for row in range(300)],
        provenance=PROVENANCE | {"summary": f"card {HOSTILE}", "command": f"zoo run {HOSTILE}"},
    )
    write_report(result, tmp_path / "page.html")
    dom = chromium(tmp_path, tmp_path / "page.html", "--dump-dom")
    assert "<title>tiny on my.h5ad · CellZoo report</title>" in dom
    assert "The cells look like those the model was trained on" in dom
    # the browser writes the text of its tree with entities: real elements would have none
    for place in ("label", "cell0", "card", "zoo run"):
        assert f"{place} &lt;script&gt;document.title=" in dom
    assert "<script" not in dom
    assert "<img src=x" not in dom
    assert 'src="x"' not in dom


def test_policy_stops_scripts_and_requests_that_got_in(tmp_path):
    write_report(write_result(tmp_path / "my.h5ad"), tmp_path / "page.html")
    page = tmp_path / "page.html"
    html = page.read_text(encoding="utf-8")
    script = '<script>document.body.append("script ran")</script>'
    image = "<img src=x onerror='document.body.append(\"handler ran\")'>"
    page.write_text(html.replace("</main>", f"{script}{image}</main>"), encoding="utf-8")
    dom = chromium(tmp_path, page, "--dump-dom")
    assert dom.count("script ran") == dom.count("handler ran") == 1  # the source alone


@pytest.mark.parametrize("width", [1000, 400])
def test_fits_the_width(tmp_path, width):
    write_report(write_result(tmp_path / "my.h5ad"), tmp_path / "page.html")
    # A frame of the wanted width: a headless window itself may not be narrower than 500 pixels.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe src=page.html style='width:{width}px;height:900px'></iframe><script>"
        "onload = () => { const page = document.querySelector('iframe').contentDocument;"
        "document.title = 'wide ' + page.documentElement.scrollWidth +"
        "' pictures ' + [...page.images].filter(i => i.naturalWidth > 0).length; }</script>"
    )
    options = ("--hide-scrollbars", "--allow-file-access-from-files", "--dump-dom")
    dom = chromium(tmp_path, frame, *options)
    assert f"<title>wide {width} pictures 6</title>" in dom
