"""What the questions of the book promise: choices, and a right one that is true."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import tests
from tests.book.pages import Book, Fence, parse

BOOK = Book(Path(tests.__file__).parents[1])
CHOICE = re.compile(r'    \?\?\? choice(?P<right> right)? "(?P<title>[^"]+)"')
TABLE = re.compile(r'\s*--8<-- "(?P<name>figures/[\w-]+\.md)"')
NUMBER = re.compile(r"-?(?:\d+(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?%?")


@dataclass
class Choice:
    """One of the possible answers, and what the book says to it."""

    title: str
    right: bool
    answer: str = ""


@dataclass
class Box:
    """A question with choices; `line` is its first line and `end` its last."""

    page: Path
    line: int
    end: int
    choices: list[Choice] = field(default_factory=list)

    @property
    def right(self) -> Choice:
        """Return the first choice that is marked as right."""
        return next(choice for choice in self.choices if choice.right)


def boxes(page: Path) -> Iterator[Box]:
    """Yield the questions of a page that have something like a choice in them."""
    lines = page.read_text("utf-8").split("\n")
    for start, line in enumerate(lines):
        if line.startswith("!!! question"):
            end = start + 1
            while end < len(lines) and (not lines[end] or lines[end][0] == " "):
                end += 1
            body = lines[start + 1 : end]
            if any("??? choice" in text for text in body):
                yield Box(page, start + 1, end, list(choices(body)))


def choices(body: list[str]) -> Iterator[Choice]:
    """Yield the choices in the body of one question."""
    found: Choice | None = None
    for line in body:
        match = CHOICE.fullmatch(line)
        if match:
            if found:
                yield found
            found = Choice(match["title"], bool(match["right"]))
        elif found:
            found.answer = f"{found.answer} {line.strip()}".strip()
    if found:
        yield found


def faults(box: Box) -> list[str]:
    """Return what is wrong with the form of a question."""
    right = [choice for choice in box.choices if choice.right]
    titles = {choice.title.strip("`") for choice in box.choices}
    short = [c.title for c in box.choices if len(c.answer) < 20 or "???" in c.answer]
    found = []
    if len(box.choices) not in (3, 4):
        found.append(f"{len(box.choices)} choices, 3 or 4 are expected")
    if len(right) != 1:
        found.append(f"{len(right)} choices are marked as right")
    if len(titles) < len(box.choices):
        found.append("two choices have one title")
    return found + [f"no answer, or one that is broken: {title}" for title in short]


def block_below(box: Box) -> Fence | None:
    """Return the Python block directly below a question, or in a box below it."""
    lines = box.page.read_text("utf-8").split("\n")
    for fence in parse(box.page).fences:
        between = lines[box.end : fence.line - 1]
        if fence.line > box.end:
            folded = bool(between) and between[0].startswith("??? ")
            indented = all(not line or line[0] == " " for line in between[1:])
            bare = not "".join(between).strip()
            return fence if bare or (folded and indented) else None
    return None


def shown(fence: Fence) -> str:
    """Return what the page shows below a block: its output, or its table."""
    if fence.output:
        return fence.output.text
    lines = fence.page.read_text("utf-8").split("\n")
    for line in lines[fence.end :]:
        table = TABLE.fullmatch(line)
        if table:
            text = (BOOK.docs / table["name"]).read_text("utf-8")
            return re.sub(r"<[^>]*>", " ", text)
        if line:
            return ""
    return ""


def literals(title: str) -> list[str]:
    """Return the numbers, tuples and words that a title gives as an answer."""
    spans: list[str] = re.findall(r"`([^`]+)`", title)
    rest = re.sub(r"`[^`]+`", "", title)
    if not re.fullmatch(rf"(?:{NUMBER.pattern}|and|,|\s)*", rest):
        return [span for span in spans if is_literal(span)]
    return spans + NUMBER.findall(rest)


def is_literal(text: str) -> bool:
    """Tell whether a text is a number, a text, several of them, or an exception."""
    if re.fullmatch(r"[A-Z]\w*Error", text):
        return True
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return False
    return True


def occurs(literal: str, text: str) -> bool:
    """Tell whether a literal stands in a text, a number in whatever spelling."""
    if NUMBER.fullmatch(literal):
        return number(literal) in map(number, NUMBER.findall(text))
    return bool(re.search(rf"(?<![\w.]){re.escape(literal)}(?![\w.])", text))


def number(text: str) -> tuple[float, bool]:
    """Return a number, and whether it is a percentage."""
    return float(text.replace(",", "").rstrip("%")), text.endswith("%")


def missing(box: Box) -> list[str]:
    """Return the literals of the right choice that the page does not show."""
    fence = block_below(box)
    text = shown(fence) if fence else ""
    if not text:
        return []
    return [each for each in literals(box.right.title) if not occurs(each, text)]


ALL = [box for page in [*BOOK.pages(), *BOOK.strays()] for box in boxes(page)]
PLACES = [BOOK.place(box.page, box.line) for box in ALL]


@pytest.mark.parametrize("box", ALL, ids=PLACES)
def test_a_question_has_choices_and_one_is_right(box: Box) -> None:
    """Every question with choices can be answered, and each answer is judged."""
    assert faults(box) == []


@pytest.mark.parametrize("box", ALL, ids=PLACES)
def test_the_right_choice_is_what_the_page_shows(box: Box) -> None:
    """What a question calls right is what the block below it prints."""
    assert missing(box) == []


def test_no_choice_stands_alone() -> None:
    """Every choice that is written belongs to a question that is checked."""
    written = [
        line
        for path in {box.page for box in ALL} | set(BOOK.docs.rglob("*.md"))
        for line in path.read_text("utf-8").split("\n")
        if re.match(r"\s*(\?\?\?|!!!)\+? choice", line)
    ]

    assert len(written) == sum(len(box.choices) for box in ALL)


def test_there_are_questions_in_every_chapter() -> None:
    """The book asks at least 35 questions, and the right place is no habit."""
    chapters = {box.page.parent.name for box in ALL}
    places = [box.choices.index(box.right) for box in ALL]

    assert len(ALL) >= 35
    assert chapters >= {"foundations", "engine", "networks", "trust"}
    assert all(places.count(place) >= len(ALL) // 10 for place in range(4))


PAGE = """\
!!! question "Predict"

    What is the sum?

    ??? choice "`5.0`"

        That is the sum of the two numbers, and there are three.

    ??? choice right "`7.0`"

        Right: all three numbers are added.

    ??? choice "12"

        That is their product, and the question is about the sum.

{between}```python
print(7.0)
```

```text {{ title="Output" }}
{output}
```
"""


def page(folder: Path, old: str, new: str, between: str = "", output: str = "") -> Box:
    """Write a page with one question, with one piece of it replaced."""
    text = PAGE.format(between=between, output=output)
    assert text.count(old) == 1
    path = folder / "page.md"
    path.write_text(text.replace(old, new))
    (box,) = boxes(path)
    return box


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("choice right", "choice", "0 choices are marked as right"),
        ('choice "12"', 'choice right "12"', "2 choices are marked as right"),
        ('choice "12"', 'choice "7.0"', "two choices have one title"),
        ("That is their product, and the question is about the sum.", "No.", "12"),
        ('??? choice "12"', '!!! choice "12"', "2 choices, 3 or 4"),
        ('??? choice "12"', "??? choice '12'", "is broken: `7.0`"),
    ],
)
def test_a_broken_question_is_refused(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    """The check of the form can fail, for each thing that it asks."""
    assert fault in "\n".join(faults(page(tmp_path, old, new)))


@pytest.mark.parametrize(
    ("title", "output", "found"),
    [
        ("`7.0`", "7.0", []),
        ("7", "dz/dx = 7.0", []),
        ("7", "17.0", ["7"]),
        ("`7.0`", "-7.0", ["7.0"]),
        ("`(1.0, 2.0)`", "at (1.0, 2.0)", []),
        ("`(1.0, 2.0)`", "at (1.0, 3.0)", ["(1.0, 2.0)"]),
        ("25%", "25", ["25%"]),
        ("1,024 and `KeyError`", "1024, KeyErrors", ["KeyError"]),
        ("`-0.5`, minus the half of `x`", "0.5", ["-0.5"]),
        ("None of `a` and `b`", "7.0", []),
    ],
)
def test_a_false_answer_is_refused(
    tmp_path: Path, title: str, output: str, found: list[str]
) -> None:
    """The check of the right choice can fail, and sees the spellings that we use."""
    box = page(tmp_path, 'right "`7.0`"', f'right "{title}"', output=output)

    assert missing(box) == found


def test_only_the_block_below_is_asked(tmp_path: Path) -> None:
    """A sentence between a question and a block parts them."""
    for between, found in (
        ("A sentence.\n\n", []),
        ("", ["7.0"]),
    ):
        box = page(tmp_path, "`5.0`", "`6.0`", between, output="8.0")
        assert missing(box) == found
