"""The page as a browser renders it, on screens and in print: no overflow, contrast AA, no error.

Needs a headless Chromium, found by the names below or by the variable PROBAND_BROWSER, else it is skipped.
"""

import html
import json
import os
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
BROWSER = os.environ.get("PROBAND_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no headless Chromium: install one, or name it in PROBAND_BROWSER"
)
BEFORE = (
    "<script>window.faults = []; addEventListener('error', e => faults.push(String(e.message)));</script>"
)
AFTER = """<script>
for (const fold of document.querySelectorAll("details")) fold.open = true;
const light = text => {
  const parts = text.match(/[\\d.]+/g).map(Number);
  const [r, g, b] = parts.map(p => p / 255).map(p => p <= 0.03928 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
  return {value: 0.2126 * r + 0.7152 * g + 0.0722 * b, seen: parts.length < 4 || parts[3] > 0};
};
const behind = one => {
  for (let at = one; at; at = at.parentElement) {
    const found = light(getComputedStyle(at).backgroundColor);
    if (found.seen) return found.value;
  }
  return 1;
};
const faint = [];
for (const one of document.querySelectorAll("body *")) {
  const text = [...one.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join("");
  const away = one.matches(".skip, title, script, style, option");
  if (!text || away || getComputedStyle(one).display === "none") continue;
  const style = getComputedStyle(one);
  const front = light(one.closest("svg") ? style.fill : style.color).value, back = behind(one);
  const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
  if (ratio < 4.5) faint.push(text.slice(0, 40) + " " + ratio.toFixed(2));
}
const page = document.documentElement, wide = page.scrollWidth - page.clientWidth;  // beside a scroll bar
const box = document.querySelector("[data-model]");
box.click();
const hides = getComputedStyle(document.querySelector("svg ." + box.dataset.model)).display;
box.click();
const unnamed = [...document.querySelectorAll("svg")].filter(
  s => s.getAttribute("aria-hidden") !== "true" && !s.getAttribute("aria-label")).length;
document.body.dataset.seen = JSON.stringify({faint, wide, hides, unnamed, faults});
</script>"""


def rendered(page, folder, width):
    file = folder / "page.html"
    text = page.replace("<head>", f"<head>{BEFORE}", 1).replace("</body>", f"{AFTER}</body>")
    file.write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom"]
    done = subprocess.run(
        [BROWSER, *options, file.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    [seen] = re.findall(r'data-seen="([^"]*)"', done.stdout)
    return json.loads(html.unescape(seen))


@pytest.mark.parametrize("width", [1280, 500, 390])
def test_the_page_fits_is_legible_and_works(page, tmp_path, width):
    seen = rendered(page, tmp_path, width)
    assert seen == {"faint": [], "wide": 0, "hides": "none", "unnamed": 0, "faults": []}


def test_a_page_with_faults_is_noticed(page, tmp_path):
    worse = page.replace(
        "</main>", '<p style="color:#aaa;width:2000px">faint</p><script>no()</script></main>'
    )
    seen = rendered(worse, tmp_path, 390)
    assert seen["wide"] > 0
    assert [text[:5] for text in seen["faint"]] == ["faint"]
    assert len(seen["faults"]) == 1


def printed(page, folder):
    """Number of pages of paper."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--print-to-pdf={folder / 'page.pdf'}"]
    file = (folder / "page.html").as_uri()
    subprocess.run([BROWSER, *options, file], capture_output=True, timeout=60, check=True)
    return len(re.findall(rb"/Type\s*/Page\b", (folder / "page.pdf").read_bytes()))


def test_it_prints_on_a_few_pages_without_outcomes_that_are_folded(page, tmp_path):
    folded = printed(page, tmp_path)
    assert 1 < folded < 30
    opened = page.replace('<details class="outcome"', '<details open class="outcome"')
    assert opened != page
    assert printed(opened, tmp_path) > folded
