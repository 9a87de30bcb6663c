"""Wrong answers to the exercises of docs/exercises/extend.md."""

from tests.exercises.wrong import Wrong, edit

WRONG = {
    "central_difference": [
        edit(
            "nudges to one side",
            "from 1.5 to 2.5 the cube rises by 12.25, over a width of 1",
            ("f(Value(x - h))", "f(Value(x))"),
            ("/ (2 * h)", "/ h"),
        ),
        edit(
            "returns a Value",
            "the slope is to be a plain number, taken out of data",
            ("(up.data - down.data)", "(up - down)"),
        ),
        edit(
            "wants all digits",
            "12 and 12.0000000002 agree: no nudge has sixteen digits",
            ("rel_tol=1e-6, abs_tol=1e-6", "rel_tol=0.0"),
        ),
        edit(
            "has one step for all",
            "x + h must differ from x, so let h grow with x",
            ("1e-6 * max(1.0, abs(x))", "1e-6"),
        ),
        edit(
            "compares digits of zeros",
            "near a slope of 0 no digits are left to compare",
            (", abs_tol=1e-6", ""),
        ),
        edit(
            "compares two nudges",
            "a rule that says 2 x**2 passes; who asked backward?",
            ("leaf.grad, measured", "central_difference(f, x, h / 2), measured"),
        ),
        edit(
            "lets five in a hundred pass",
            "a rule wrong by a hundredth passes: too generous",
            ("rel_tol=1e-6", "rel_tol=0.05"),
        ),
    ],
    "angle": [
        edit(
            "takes the arc tangent",
            "the wrong quarter: gradcheck is blind for it, its slope is right",
            ("math.atan2(a, b)", "math.atan(a / b)"),
        ),
        Wrong(
            "composes it of other functions",
            "one node, whose parents are y and x, and a rule of your own",
            """
            def angle(y, x):
                length = (x * x + y * y).sqrt()
                return 2 * (y / (length + x)).atan()
            """,
        ),
        edit(
            "swaps the slopes",
            "at (1, 0) a little y turns the point, a little x does not",
            ("y.grad += grad * b", "y.grad += grad * a"),
            ("x.grad -= grad * a", "x.grad -= grad * b"),
        ),
        edit(
            "has no minus",
            "more y turns the point onward, more x turns it back",
            ("x.grad -= ", "x.grad += "),
        ),
        edit(
            "divides by the length",
            "five times as far out, a nudge turns a fifth as much",
            ("a * a + b * b", "math.hypot(a, b)"),
        ),
        edit(
            "replaces instead of adding",
            "a node with several uses collects from all of them",
            ("y.grad += grad", "y.grad = grad"),
            ("x.grad -= grad", "x.grad = -grad"),
        ),
    ],
    "newton": [
        Wrong(
            "looks for a zero of f",
            "at 5 f is 0, and its slope is 6: we look for a slope of 0",
            """
            def newton(f, x, steps):
                for _ in range(steps):
                    place = Value(x)
                    height = f(place)
                    height.backward()
                    x -= height.data / place.grad
                return x
            """,
        ),
        edit("goes uphill", "the step went uphill", ("x -= ", "x += ")),
        edit(
            "does not ask for the bend",
            "a parabola is solved by one step: the slope 6, over the bend 2",
            ("slope.data / inner.grad", "slope.data"),
        ),
        edit(
            "returns a Value",
            "the place is a number; yours drags the graph of the steps along",
            ("slope.data / inner.grad", "slope / inner.grad"),
        ),
        Wrong(
            "measures at the start only",
            "each place has a slope and a bend of its own: measure both anew",
            """
            def newton(f, x, steps):
                inner = Value(x)
                outer = Value(inner)
                f(outer).backward()
                outer.grad.backward()
                for _ in range(steps):
                    x -= outer.grad.data / inner.grad
                return x
            """,
        ),
    ],
    "objects_left": [
        edit(
            "keeps the results",
            "a result was kept, and with it its whole graph",
            (
                "for _ in range(times):\n            forward()",
                "kept = [forward() for _ in range(times)]",
            ),
        ),
        edit(
            "collects before it counts",
            "circles stay until the collector comes: it must not, meanwhile",
            ("        return", "        gc.collect()\n        return"),
        ),
        edit(
            "runs a thousand times, always",
            "ten passes were asked for, and more were run",
            ("range(times)", "range(1000)"),
        ),
        Wrong(
            "leaves the collector off",
            "the collector was on before, and is off now",
            """
            def objects_left(forward, times=1000):
                gc.collect()
                gc.disable()
                before = len(gc.get_objects())
                for _ in range(times):
                    forward()
                return len(gc.get_objects()) - before
            """,
        ),
        Wrong(
            "switches the collector on",
            "the collector was off before, and you switched it on",
            """
            def objects_left(forward, times=1000):
                gc.collect()
                gc.disable()
                before = len(gc.get_objects())
                for _ in range(times):
                    forward()
                left = len(gc.get_objects()) - before
                gc.enable()
                return left
            """,
        ),
    ],
    "accumulate": [
        Wrong(
            "makes one graph over all",
            "one graph over all examples: that is what we wanted to avoid",
            """
            def accumulate(loss, inputs, targets, size):
                loss(inputs, targets).backward()
            """,
        ),
        Wrong(
            "goes back once, at the end",
            "all graphs were alive at once: go back before the next is built",
            """
            def accumulate(loss, inputs, targets, size):
                total = 0.0
                for xs, ys in batches(inputs, targets, size):
                    total += loss(xs, ys) * (len(xs) / len(inputs))
                total.backward()
            """,
        ),
        edit(
            "adds the means up",
            "two means of three examples are twice the mean of six",
            ("(share * loss(xs, ys))", "loss(xs, ys)"),
        ),
        edit(
            "takes the mean of the means",
            "of 7 examples the last is a piece of its own: it weighs one in 7",
            ("len(xs) / len(inputs)", "1 / math.ceil(len(inputs) / size)"),
        ),
    ],
    "tie": [
        edit(
            "forgets to transpose",
            "weight 1 of neuron 2 is weight 2 of neuron 1: rows become columns",
            (
                "for j, neuron in enumerate(second.neurons):\n"
                "        neuron.w = [other.w[j] for other in first.neurons]",
                "for one, other in zip(first.neurons, second.neurons):\n"
                "        other.w = one.w",
            ),
        ),
        edit(
            "copies the numbers",
            "equal numbers in two nodes: the first step will part them",
            ("[other.w[j] for", "[Value(other.w[j].data) for"),
        ),
        edit(
            "returns the list as it is",
            "some would move twice",
            ("list(dict.fromkeys(parameters))", "list(parameters)"),
        ),
        edit(
            "compares numbers",
            "equal is not the same",
            (
                "return list(dict.fromkeys(parameters))",
                "found = []\n"
                "    for p in parameters:\n"
                "        if p not in found:\n"
                "            found.append(p)\n"
                "    return found",
            ),
        ),
        edit(
            "sorts by the numbers",
            "an order that depends on the numbers: it changes with every step",
            ("list(dict.fromkeys(parameters))", "sorted(set(parameters))"),
        ),
    ],
    "describe": [
        edit(
            "feeds plain numbers",
            "the inputs are no nodes, or have no names: make Values of them",
            ("[Value(1.0) for", "[1.0 for"),
            ('{f"x{i}": x for i, x in enumerate(inputs)}', "{}"),
        ),
        edit(
            "feeds zeros",
            "the inputs are to be 1.0",
            ("[Value(1.0) for", "[Value(0.0) for"),
        ),
        edit(
            "names the neuron before the layer",
            "a name says layer, neuron, weight, in this order",
            ('yield f"{i}.{j}", neuron', 'yield f"{j}.{i}", neuron'),
        ),
        edit(
            "forgets the biases",
            "biases are leaves too, one a neuron",
            ('        names[f"b{place}"] = neuron.b\n', ""),
        ),
        edit(
            "lets the picture be cut",
            "a part of the 61 nodes was left out: ask for all of them",
            (", limit=nodes", ""),
        ),
    ],
    "surprise": [
        Wrong(
            "computes with plain numbers",
            "a plain number has no gradient: stay with methods of Value",
            """
            def surprise(logits, target):
                numbers = [a.data for a in logits]
                largest = max(numbers)
                total = sum(math.exp(a - largest) for a in numbers)
                return largest + math.log(total) - numbers[target]
            """,
        ),
        edit(
            "forgets the minus",
            "a loss is above 0: the logarithm wants a minus",
            (
                "largest + total.log() - logits[target]",
                "logits[target] - largest - total.log()",
            ),
        ),
        edit(
            "ignores which class is right",
            "it must matter which class is right",
            ("- logits[target]", "- largest"),
        ),
        Wrong(
            "takes the sigmoid of one logit",
            "a probability is e**a over the sum of all e**a",
            """
            def surprise(logits, target):
                return (-logits[target]).softplus()
            """,
        ),
        edit(
            "leaves the graph",
            "the way from a logit to the loss has been cut",
            ("(a - largest).exp()", "(a.data - largest).exp()"),
        ),
        Wrong(
            "follows the formula",
            "at -1000 all exponentials are 0, and so is their sum",
            """
            def surprise(logits, target):
                total = sum(a.exp() for a in logits)
                return total.log() - logits[target]
            """,
        ),
        edit(
            "takes the smallest out",
            "no exponent may be above 0",
            ("max(logits)", "min(logits)"),
        ),
    ],
}
