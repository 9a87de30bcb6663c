"""Wrong answers to the exercises of docs/exercises/break.md."""

from tests.exercises.wrong import Wrong, edit

WRONG = {
    "inflate": [
        edit(
            "makes one addition too many",
            "for n = 1 no node may stand between x and the result",
            ("range(n)", "range(n + 1)"),
        ),
        edit(
            "counts the result as an inner node",
            "between x and the result is no node to keep anything",
            ("range(n)", "range(n - 1)"),
        ),
        Wrong(
            "adds x again and again",
            "some ways from x are shorter",
            """
            def inflate(x, n):
                total = x
                for _ in range(n):
                    total = total + x
                return total
            """,
        ),
    ],
    "spoil": [
        edit(
            "changes a leaf",
            "x or y has another number: leave the leaves alone",
            ("product, _ = z._parents", "_, product = z._parents"),
        ),
        edit(
            "changes a gradient",
            "change a number, not a gradient: backward has yet to come",
            ("product.data", "product.grad"),
        ),
        edit(
            "changes the result",
            "12 and 4 are right: nobody has read the number you changed",
            ("product.data", "z.data"),
        ),
        edit(
            "cuts the graph",
            "ours is wrong too; only data may change",
            ("product.data = 100.0", "z._parents = ()"),
        ),
    ],
    "maze": [
        edit("makes a thousand", "40 are allowed", ("range(40)", "range(1000)")),
        Wrong(
            "multiplies",
            "a large slope on one edge is no path: additions only",
            """
            def maze(x):
                return x * 2.0**40
            """,
        ),
        edit(
            "makes a chain",
            "one path: both operands must lead back to x",
            ("x = x + x", "x = x + 1.0"),
        ),
        Wrong(
            "adds x again and again",
            "each addition adds one; let it add many",
            """
            def maze(x):
                return sum([x] * 40, x)
            """,
        ),
        Wrong(
            "adds the last two",
            "let each addition double them",
            """
            def maze(x):
                before, last = x, x
                for _ in range(40):
                    before, last = last, before + last
                return last
            """,
        ),
    ],
    "impostor": [
        edit(
            "has another value",
            "the value is to be right, only the rule may lie",
            ("type(x)(n**3,", "Value(12 * n - 16,"),
        ),
        edit(
            "is wrong at 2",
            "it was found out at 2: the slope is 12",
            ("6 * n", "2 * n * n"),
        ),
        edit(
            "is honest",
            "at 3 it is right as well: this is no impostor",
            ("6 * n", "3 * n * n"),
        ),
        edit(
            "is constant",
            "at -2 it is right as well: the slope there is 12 again",
            ("6 * n", "12"),
        ),
        edit(
            "is right at 1, too",
            "at 1.0 it is right as well",
            ("6 * n", "(9 * n - 6)"),
        ),
        edit(
            "ignores what comes in",
            "10 came in: the lie must hold in a longer computation, too",
            ("grad * 6 * n", "6 * n"),
        ),
    ],
    "deaf": [
        edit(
            "does not listen at all",
            "the slope at 1 is 0.0, and 1 is wanted",
            ("x + 1e6", "0.0 * x + 1e6"),
        ),
        edit(
            "is too near to 0",
            "the nudge still shows; its digits must fall off",
            ("x + 1e6", "x + 1.0"),
        ),
        edit(
            "is too far from 0",
            "a nudge of 1e-5 is lost as well: you are too far from 0",
            ("x + 1e6", "x + 1e15"),
        ),
    ],
    "asleep": [
        edit(
            "is right already",
            "here is little left to learn",
            ("return 20.0", "return -20.0"),
        ),
        edit(
            "goes where the slope is 0",
            "the slope is exactly 0: so far out that no float is small enough",
            ("return 20.0", "return 1e6"),
        ),
        edit(
            "is only sleepy",
            "the slope still shows",
            ("return 20.0", "return 5.0"),
        ),
    ],
    "edge": [
        edit(
            "finds the best rate",
            "this rate is the best, it hits the bottom; the edge is farther",
            ("return 2 /", "return 1 /"),
        ),
        Wrong(
            "recites the rate of x**2",
            "on 4 x**2 a hundredth less than your rate still flies off",
            """
            def edge(f):
                return 1.0
            """,
        ),
        Wrong(
            "tries tenths",
            "on 4 x**2 a hundredth more than your rate still falls",
            """
            def edge(f):
                x = Value(1.0)
                f(x).backward()
                rate = 0.1
                while f(Value(1.0 - (rate + 0.1) * x.grad)) < f(x):
                    rate += 0.1
                return rate
            """,
        ),
        edit(
            "allows no rate above 1",
            "a flat valley wants long steps: a rate may be far above 1",
            ("2 / (slopes[1] - slopes[0])", "min(1.0, 2 / (slopes[1] - slopes[0]))"),
        ),
        edit(
            "takes the slope for the bend",
            "a valley that lies elsewhere is as steep: bend, not slope",
            ("(slopes[1] - slopes[0])", "slopes[1]"),
        ),
    ],
}
