"""Every page of the hosted site: accessible, at home, in its column, light."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import pytest
from playwright.sync_api import Browser, Page

from tests.book.pages import Book

from .conftest import PREFIX, Visit
from .vendor import BUILD, ROOT

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
NAMES = [
    path.relative_to(ROOT / "docs").with_suffix("").as_posix() + "/"
    for path in Book(ROOT).nav()
]
PAGES = [name.removesuffix("index/") for name in NAMES]
FIRST_LOAD = 400_000  # bytes over the wire


@pytest.fixture(scope="module")
def window(browser: Browser, address: str) -> Iterator[Visit]:
    """A phone's window, kept for all pages, so that scripts are cached."""
    context = browser.new_context(viewport={"width": 360, "height": 780})
    yield Visit(context.new_page(), address)
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_at_home_fits_and_is_accessible(window: Visit, name: str) -> None:
    """With every fold open: no other host, no complaint, no sideways scrolling.

    At 360 pixels only boxes of their own scroll: code, tables, figures, formulas.
    And axe finds nothing against WCAG 2.2 AA, in light and dark.
    """
    window.requested.clear()
    window.complaints.clear()
    page = window.open(name)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    width = page.evaluate("document.documentElement.scrollWidth")
    page.evaluate((BUILD / "axe.min.js").read_text("utf-8"))
    faults = {scheme: axe(page, scheme) for scheme in SCHEMES}

    assert (window.foreign(), window.complaints) == ([], [])
    assert width <= 360
    assert faults == {scheme: [] for scheme in SCHEMES}


def axe(page: Page, scheme: Literal["light", "dark"]) -> list[str]:
    """Return what axe finds, a line each."""
    page.emulate_media(color_scheme=scheme)
    found = page.evaluate(
        "rules => axe.run(document, {resultTypes: ['violations'],"
        " runOnly: {type: 'tag', values: rules}})",
        RULES,
    )
    return [
        f"{fault['id']}: {node['target']}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("name", ["", "engine/backward/", "trust/accuracy/"])
def test_a_first_visit_is_light(visit: Visit, name: str) -> None:
    """All that is fetched without a click, compressed as a host compresses it.

    When the largest text was painted is printed (`-rP` shows it), not judged.
    """
    client = visit.page.context.new_cdp_session(visit.page)
    client.send("Network.enable")
    sizes: list[float] = []
    client.on("Network.loadingFinished", lambda e: sizes.append(e["encodedDataLength"]))
    visit.open(name)
    visit.page.wait_for_load_state("networkidle")
    paint = visit.page.evaluate(
        "() => new Promise(done => new PerformanceObserver(list =>"
        " done(list.getEntries().at(-1).startTime))"
        ".observe({type: 'largest-contentful-paint', buffered: true}))"
    )
    print(json.dumps({"page": name, "bytes": sum(sizes), "paint": paint}))

    assert sum(sizes) <= FIRST_LOAD


@pytest.mark.parametrize("name", ["engine/backward/", "exercises/"])
def test_the_tab_key_goes_through_and_out(visit: Visit, name: str) -> None:
    """No element holds the focus: it moves with every press, to the last link."""
    page = visit.open(name)
    count = page.locator("a[href], button, input, summary, [tabindex]").count()
    seen: list[int] = []
    for _ in range(count + 5):
        page.keyboard.press("Tab")
        here = page.evaluate(
            "(() => { const a = document.activeElement; window.ids ??= new Map();"
            " if (!ids.has(a)) ids.set(a, ids.size); return ids.get(a) })()"
        )
        if seen and here == seen[0] and len(seen) > 10:
            break
        assert not seen or here != seen[-1], f"held by element {here}"
        seen.append(here)

    assert len(set(seen)) > 30


class _Links(HTMLParser):
    """The links of a page, and what can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.ids |= {found[key] for key in ("id", "name") if key in found}
        for key in ("href", "src"):
            if key in found:
                self.links.add(found[key])


def test_every_internal_link_leads_somewhere(site: Path) -> None:
    """To a file of the site, and to an anchor that is on it."""
    pages = {path: _Links(path.read_text("utf-8")) for path in site.rglob("*.html")}
    lost = [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        for link in sorted(page.links)
        if not _leads(site, pages, path, link)
    ]

    assert lost == []


def _leads(site: Path, pages: dict[Path, _Links], path: Path, link: str) -> bool:
    here = f"https://site{PREFIX}{path.relative_to(site).as_posix()}"
    url, anchor = urldefrag(urljoin(here, link))
    if urlparse(url).netloc != "site":
        return True
    target = site / unquote(urlparse(url).path).removeprefix(PREFIX)
    target = target / "index.html" if target.is_dir() else target
    if target not in pages:
        return target.exists()
    return not anchor or unquote(anchor) in pages[target].ids
