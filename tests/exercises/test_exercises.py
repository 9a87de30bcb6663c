"""Each exercise tells wrong answers apart, and offers help.

A page runs in order, as a reader runs it. At each exercise every wrong answer
takes the place of the stub; the page goes on with the solution.
"""

from __future__ import annotations

import ast
import builtins
import gc
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from tests.book.pages import Book, Fence, Page, parse
from tests.book.runner import PageRun
from tests.exercises import breaks, extend, recall
from tests.exercises.wrong import Wrong

BOOK = Book(Path(__file__).resolve().parents[2])
FOLDER = BOOK.docs / "exercises"
WRONG = {
    "recall": recall.WRONG,
    "extend": extend.WRONG,
    "break": breaks.WRONG,
}
ALL = [
    (tier, name, wrong)
    for tier, exercises in WRONG.items()
    for name, wrongs in exercises.items()
    for wrong in wrongs
]
NAMES = [(tier, name) for tier, exercises in WRONG.items() for name in exercises]
META = re.compile(r"\*(Recall|Extend|Break); after \[([^]]+)\]\(([^)#]+)")


@dataclass(frozen=True)
class Exercise:
    """What a page says between two headings, if it is an exercise."""

    heading: str
    text: str
    stub: Fence
    check: Fence
    solution: Fence

    @property
    def name(self) -> str:
        """The first name that the stub binds."""
        return bound(self.stub)[0]


@dataclass(frozen=True)
class Trial:
    """What the test said of a wrong answer, and the line that said it."""

    error: BaseException | None
    line: int


@cache
def page(tier: str) -> Page:
    return parse(FOLDER / f"{tier}.md")


@cache
def exercises(tier: str) -> list[Exercise]:
    """Return the exercises of a page, in order."""
    fences = [f for f in page(tier).fences if f.role in ("exercise", "check")]
    fences += [f for f in page(tier).fences if f.role == "solution"]
    fences.sort(key=lambda fence: fence.line)
    lines = page(tier).text.split("\n")
    heads = [i for i, line in enumerate(lines) if line.startswith("## ")]
    found = []
    for stub, check, solution in zip(fences[::3], fences[1::3], fences[2::3]):
        start = max(i for i in heads if i < stub.line)
        end = min([i for i in heads if i > stub.line], default=len(lines))
        text = "\n".join(lines[start:end])
        found.append(Exercise(lines[start][3:], text, stub, check, solution))
    return found


def exercise(tier: str, name: str) -> Exercise:
    return next(e for e in exercises(tier) if e.name == name)


def bound(fence: Fence) -> list[str]:
    """Return the names that a block binds, in order."""
    tree = ast.parse(fence.source)
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.alias):
            names.append((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            names.append(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.append(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.append(node.id)
    return names


def read(fence: Fence) -> set[str]:
    """Return the names that a block takes from elsewhere."""
    nodes = ast.walk(ast.parse(fence.source))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names - set(bound(fence)) - set(dir(builtins))


@cache
def trials(tier: str) -> dict[tuple[str, str], Trial]:
    """Run a page, and try every wrong answer where it belongs."""
    run = PageRun(BOOK, page(tier))
    try:
        return dict(_trials(run, tier))
    finally:
        run.close()


def _trials(run: PageRun, tier: str) -> Iterator[tuple[tuple[str, str], Trial]]:
    here = {e.solution: e for e in exercises(tier)}
    for fence in run.page.fences:
        if fence in here:
            for wrong in WRONG[tier].get(here[fence].name, []):
                key = here[fence].name, wrong.name
                yield key, _try(run, here[fence], wrong)
        if not fence.figure:  # nothing hangs on a picture, and it takes seconds
            run.run(fence)


def _try(run: PageRun, exercise: Exercise, wrong: Wrong) -> Trial:
    """Run the test on a wrong answer, and leave no trace."""
    names = run._module.__dict__
    before = dict(names)
    source = wrong.answer(exercise.solution.source)
    _, error = run._execute(replace(exercise.stub, source=source))
    if error is None:
        _, error = run._execute(exercise.check)
    gc.enable()
    names.clear()
    names.update(before)
    frames = [] if error is None else run._page_frames(error)
    inside = range(exercise.check.line, exercise.check.end)
    return Trial(error, [0, *(n for _, n in frames if n in inside)][-1])


@pytest.mark.parametrize(
    ("tier", "name", "wrong"), ALL, ids=lambda x: getattr(x, "name", x)
)
def test_a_wrong_answer_hears_its_own_message(
    tier: str, name: str, wrong: Wrong
) -> None:
    """The test fails, and says of this mistake what there is to say."""
    error = trials(tier)[name, wrong.name].error

    assert type(error) is AssertionError
    assert wrong.is_told_by(str(error)), str(error)


@pytest.mark.parametrize(("tier", "name"), NAMES)
def test_each_message_belongs_to_one_mistake(tier: str, name: str) -> None:
    """Three wrong answers at least; no two with one name, or one message."""
    wrongs = WRONG[tier][name]

    assert len(wrongs) >= 3
    assert len({wrong.name for wrong in wrongs}) == len(wrongs)
    assert len({wrong.message for wrong in wrongs}) == len(wrongs)


@pytest.mark.parametrize(("tier", "name"), NAMES)
def test_no_assertion_is_idle(tier: str, name: str) -> None:
    """Every `assert` of a test has a message that some mistake brings out."""
    check = exercise(tier, name).check
    tree = ast.parse(check.source)
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    failed = {t.line for (key, _), t in trials(tier).items() if key == name}
    idle = [
        node.lineno
        for node in asserts
        if not any(
            check.line + node.lineno <= line <= check.line + (node.end_lineno or 0)
            for line in failed
        )
    ]

    assert [node.lineno for node in asserts if node.msg is None] == []
    assert idle == []


@pytest.mark.parametrize("tier", WRONG)
def test_every_exercise_has_wrong_answers(tier: str) -> None:
    """No exercise is without them, and none of them is without an exercise."""
    assert [e.name for e in exercises(tier)] == list(WRONG[tier])
    assert len(WRONG[tier]) >= 5
    assert len(WRONG[tier]) <= 12


def test_exercises_stand_on_these_pages_only() -> None:
    """A page in the folder is a tier, or the overview without exercises."""
    roles = [fence.role for fence in parse(FOLDER / "index.md").fences]

    assert {path.stem for path in FOLDER.glob("*.md")} == {"index", *WRONG}
    assert "exercise" not in roles


@pytest.mark.parametrize(("tier", "name"), NAMES)
def test_help_is_offered(tier: str, name: str) -> None:
    """An exercise says its tier and its page; hints and a solution are folded."""
    text = exercise(tier, name).text
    solution = text.partition('??? success "Solution"')[2]
    meta = META.match(text.split("\n")[2])

    assert meta is not None
    assert meta[1] == tier.capitalize()
    assert (FOLDER / meta[3]).resolve().exists()
    assert len(re.findall(r'^\?\?\? tip "Hint', text, re.M)) >= 1
    assert "\n    ```python { .solution continuation }\n" in solution


@pytest.mark.parametrize(("tier", "name"), NAMES)
def test_a_stub_is_empty(tier: str, name: str) -> None:
    """Each function of a stub has a docstring, and raises NotImplementedError."""
    stub = exercise(tier, name).stub
    functions = ast.parse(stub.source).body

    for function in functions:
        assert isinstance(function, ast.FunctionDef)
        assert ast.get_docstring(function)
        body = [ast.unparse(node) for node in function.body[1:]]
        assert body == ["raise NotImplementedError"]


def test_the_overview_lists_every_exercise() -> None:
    """The tables of the overview say what the pages say, in their order."""
    text = (FOLDER / "index.md").read_text("utf-8")
    row = r"\| \[(.+)\]\((.+)\) \| \[(.+)\]\((.+)\) \|"
    expected = []
    for tier in WRONG:
        for e in exercises(tier):
            meta = META.match(e.text.split("\n")[2])
            assert meta is not None
            slug = re.sub(r"\W+", "-", e.heading.lower()).strip("-")
            link = f"{tier}.md#{slug}"
            expected.append((e.heading, link, meta[2], meta[3]))

    assert re.findall(row, text) == expected
    assert re.findall(r"write (\d+) small things", text) == [str(len(expected))]


@pytest.mark.parametrize("tier", WRONG)
def test_no_block_needs_a_test_or_a_solution(tier: str) -> None:
    """A reader who has found another solution can run the rest of the page.

    In the browser neither tests nor solutions run before a later block.
    """
    given: set[str] = set()
    missing = []
    for fence in page(tier).fences:
        if fence.role != "solution":
            missing += [(fence.line, name) for name in sorted(read(fence) - given)]
        if fence.role not in ("check", "solution"):
            given |= set(bound(fence))

    assert missing == []


def test_names_are_unique() -> None:
    """One exercise, one name, on all pages together."""
    counts = Counter(name for _, name in NAMES)

    assert max(counts.values()) == 1
