"""A browser, and the hosted site on a local server, for the tests beside this."""

from __future__ import annotations

import gzip
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# The site under test: built by `python -m tests.live FOLDER`.
SITE = Path(os.environ.get("BOOK_SITE", "site"))
# Patience with a busy machine, in milliseconds.
expect.set_options(timeout=30_000)
# Hosted below a folder, as GitHub Pages does.
PREFIX = "/prosegrad/"
COMPRESSED = (".html", ".css", ".js", ".mjs", ".json", ".svg", ".xml", ".txt")


class Handler(SimpleHTTPRequestHandler):
    """Serve files under PREFIX, compressed as a host compresses them."""

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        inside = self.path.startswith(PREFIX)
        path = Path(self.translate_path(self.path.removeprefix(PREFIX.rstrip("/"))))
        path = path / "index.html" if path.is_dir() else path
        if not inside or not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        if path.suffix in COMPRESSED:
            body = gzip.compress(body, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "assets/live/manifest.json").exists():
        pytest.skip("the hosted site is not built: python -m tests.live")
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Return where the site is served."""
    handler = partial(Handler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


class Visit:
    """One page in the browser, and all that it asked for and complained of."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.requested: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda r: self.requested.append(r.url))
        page.on("console", lambda m: self._hear(m.type, m.text))
        page.on("pageerror", lambda e: self._hear("error", str(e)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def open(self, name: str) -> Page:
        """Go to a page of the site, such as `engine/value/`."""
        self.page.goto(self.address + name, wait_until="load")
        return self.page

    def foreign(self) -> list[str]:
        """Return what was asked of another host."""
        own = ("data:", "blob:", self.address)
        return [url for url in self.requested if not url.startswith(own)]


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """A fresh visitor: nothing cached, nothing remembered."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Visit(context.new_page(), address)
    context.close()
