"""The page as a browser renders it, on screens and in print: no overflow, contrast AA, no error, keys.

Needs a headless Chromium, found by the names below or by the variable PROBAND_BROWSER, else it is skipped.
"""

import json
import os
import re
import shutil
import subprocess

import pytest

from browser import browsing

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
BROWSER = os.environ.get("PROBAND_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no headless Chromium: install one, or name it in PROBAND_BROWSER"
)
BEFORE = (
    "<script>window.faults = []; addEventListener('error', e => faults.push(String(e.message)));</script>"
)
SEEN = """(() => {
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
return {faint, wide, hides, unnamed, faults, width: innerWidth};
})()"""


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


REACHABLE = """(() => {
  const all = [...document.querySelectorAll("a[href], button, select, input, summary, [tabindex]")];
  window.reachable = all.filter(one => one.checkVisibility() && one.tabIndex >= 0);
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number).slice(0, 3).map(p => p / 255)
      .map(p => p <= 0.03928 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  window.focused = () => {
    const one = document.activeElement, style = getComputedStyle(one), at = one.getBoundingClientRect();
    const rings = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
      && 1.05 / (light(style.outlineColor) + 0.05) >= 3;
    const inside = at.right > 0 && at.left < innerWidth && at.bottom > 0 && at.top < innerHeight;
    return [window.reachable.indexOf(one), rings && inside];
  };
  return window.reachable.length;
})()"""


def tabbed(tab):
    """Number of controls, and for each press of Tab the place of the focused one and whether it is seen."""
    tab.run("window.scrollTo(0, 0)")
    number = tab.run(REACHABLE)
    found = []
    for _ in range(number):
        tab.press("Tab")
        found.append(tuple(tab.run("window.focused()")))
    return number, found


@pytest.fixture(scope="module")
def typing(tmp_path_factory):
    with browsing(BROWSER, tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def opened(typing, page, tmp_path):
    """Opens the page, or another one, anew in a window of so many pixels."""

    def open_page(width=1280, text=page):
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        typing.open((tmp_path / "page.html").as_uri(), width)
        typing.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return typing

    return open_page


def seen_in(opened, page, width):
    """What is wrong with the page in a window of so many pixels, all sections unfolded."""
    return opened(width, page.replace("<head>", f"<head>{BEFORE}", 1)).run(SEEN)


@pytest.mark.parametrize("width", [1280, 500, 390, 320])
def test_the_page_fits_is_legible_and_works(opened, page, width):
    name = "a_name_without_any_space_that_is_wider_than_a_telephone_is"
    long = re.sub(r"(?<=Deciles of )[^)]*\)", f"PGS1 ({name})", page).replace("ehr &amp; pgs", name)
    assert f"({name})" in long
    assert f">{name}<" in long
    seen = seen_in(opened, long, width)
    assert seen == {"faint": [], "wide": 0, "hides": "none", "unnamed": 0, "faults": [], "width": width}


def test_a_page_with_faults_is_noticed(opened, page):
    worse = page.replace("</main>", '<p style="color:#aaa;width:500px">faint</p><script>no()</script></main>')
    seen = seen_in(opened, worse, 390)
    assert seen["wide"] > 0
    assert [text[:5] for text in seen["faint"]] == ["faint"]
    assert len(seen["faults"]) == 1


def focus(tab, selector, place=0):
    """Press Tab until the element is reached."""
    one = f"[...document.querySelectorAll({json.dumps(selector)})][{place}]"
    for _ in range(tab.run(REACHABLE) + 1):
        if tab.run(f"document.activeElement === {one}"):
            return one
        tab.press("Tab")
    raise AssertionError(f"not reached by Tab: {selector}")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("fold", ["<details", "<details open"])
def test_every_control_is_reached_by_tab_in_the_order_of_the_page_and_seen(opened, page, width, fold):
    number, found = tabbed(opened(width, page.replace("<details", fold)))
    assert number > 20
    assert found == [(place, True) for place in range(number)]


@pytest.mark.parametrize(
    "fault",
    [
        "<style>summary:focus-visible { outline: none; }</style>",
        "<style>select { outline-color: #fff !important; }</style>",
        '<a href="#limits" tabindex="1">too early</a>',
        '<button style="position:fixed;left:-500px">out of sight</button>',
    ],
)
def test_a_control_out_of_order_or_without_a_ring_is_noticed(opened, page, fault):
    number, found = tabbed(opened(1280, page.replace("</main>", f"{fault}</main>")))
    assert found != [(place, True) for place in range(number)]


@pytest.mark.parametrize("key", ["Enter", " "])
def test_folded_sections_open_and_close_by_key(opened, key):
    tab = opened()
    for place in range(tab.run('document.querySelectorAll("summary").length')):
        if not tab.run(f'document.querySelectorAll("summary")[{place}].checkVisibility()'):
            continue
        one = focus(tab, "summary", place)
        for is_open in (True, False):
            tab.press(key)
            assert tab.run(f"{one}.parentElement.open") is is_open


@pytest.mark.parametrize("key", ["Enter", " "])
def test_all_sections_unfold_and_fold_by_key(opened, key):
    tab = opened()
    one = focus(tab, "#unfold")
    for is_open, text in ((True, "Fold all"), (False, "Unfold all")):
        tab.press(key)
        assert set(tab.run('[...document.querySelectorAll("details")].map(one => one.open)')) == {is_open}
        assert tab.run(f"{one}.textContent") == text


def test_models_are_hidden_and_shown_by_space(opened):
    tab = opened()
    one = focus(tab, "[data-model]", 1)
    shown = f'getComputedStyle(document.querySelector("svg ." + {one}.dataset.model)).display !== "none"'
    for is_shown in (False, True):
        tab.press(" ")
        assert tab.run(shown) is is_shown
    assert tab.run(f"document.activeElement === {one}")


def test_rows_are_sorted_from_the_keyboard(opened):
    tab = opened()
    names = '[...document.querySelectorAll("#overview-rows tr")].map(one => one.dataset.name)'
    tab.run('document.querySelector("#overview-rows").insertAdjacentHTML("beforeend", '
            '`<tr data-order="0.1" data-name="Asthma"><td></td></tr>`)')  # fmt: skip
    before = tab.run(names)
    one = focus(tab, "[data-sorts]")
    tab.press("ArrowDown")
    assert tab.run(f"{one}.value") == "name"
    assert tab.run(names) == sorted(before)
    assert sorted(before) != before
    assert tab.run(f"document.activeElement === {one}")


def test_the_first_link_skips_the_list_of_sections(opened):
    tab = opened()
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    tab.press("Enter")
    tab.press("Tab")
    assert tab.run('document.activeElement.closest("nav")') is None
    after = "document.activeElement.compareDocumentPosition(document.getElementById('answers'))"
    assert tab.run(f"{after} & Node.DOCUMENT_POSITION_PRECEDING") == 2


def test_a_table_is_a_stop_where_it_must_be_scrolled_and_scrolls_by_key(opened):
    tab = opened(390)
    stops = '[...document.querySelectorAll(".scroll")].filter(one => one.checkVisibility()).map(one => ' \
            "[one.scrollWidth > one.clientWidth, one.tabIndex >= 0])"  # fmt: skip
    found = tab.run(stops)
    assert [True, True] in found
    assert all(wide == stop for wide, stop in found)
    place = tab.run('[...document.querySelectorAll(".scroll")].findIndex(one => one.checkVisibility() '
                    "&& one.tabIndex >= 0)")  # fmt: skip
    one = focus(tab, ".scroll", place)
    tab.press("ArrowRight")
    tab.wait(f"{one}.scrollLeft > 0")
