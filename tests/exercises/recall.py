"""Wrong answers to the exercises of docs/exercises/recall.md."""

from tests.exercises.wrong import Wrong, edit

WRONG = {
    "over_paths": [
        edit(
            "adds along a path",
            "along a path slopes multiply: 2, then 5, is 10",
            ("slope * over", "slope + over"),
        ),
        Wrong(
            "takes the first path only",
            "two paths lead from x to z, and both count: 3 + 1",
            """
            def over_paths(edges, start, end):
                if start == end:
                    return 1.0
                for child, slope in edges.get(start, []):
                    return slope * over_paths(edges, child, end)
                return 0.0
            """,
        ),
        edit(
            "keeps one edge a child",
            "x * x has two edges between the same nodes: two paths",
            ("in edges.get(start, [])", "in dict(edges.get(start, [])).items()"),
        ),
        edit(
            "takes every leaf for the end",
            "no path leads from x to y, and a sum over nothing is 0",
            ("if start == end:", "if start == end or start not in edges:"),
        ),
        Wrong(
            "has no path of no edges",
            "z moves as z does: a path of no edges is a product of nothing, 1",
            """
            def over_paths(edges, start, end):
                total = 0.0
                for child, slope in edges.get(start, []):
                    if child == end:
                        total += slope
                    else:
                        total += slope * over_paths(edges, child, end)
                return total
            """,
        ),
    ],
    "is_order": [
        Wrong(
            "knows one order only",
            "no edge lies between x and y: either may come first",
            """
            def is_order(nodes, root):
                order = topological_order(root)
                return [id(n) for n in nodes] == [id(n) for n in order]
            """,
        ),
        Wrong(
            "asks only that the root is last",
            "b is computed from a: backward would leave a before b has paid",
            """
            def is_order(nodes, root):
                same = set(nodes) == set(topological_order(root))
                return nodes[-1] is root and same and len(nodes) == len(set(nodes))
            """,
        ),
        Wrong(
            "passes over what is missing",
            "y is not in the list: its gradient would never arrive",
            """
            def is_order(nodes, root):
                place = {node: i for i, node in enumerate(nodes)}
                return len(place) == len(nodes) and all(
                    place.get(parent, -1) < place[node]
                    for node in nodes
                    for parent in node._parents
                )
            """,
        ),
        edit(
            "lets a node be there twice",
            "b is there twice: it would pay its parents twice",
            ("node in seen or not", "not"),
        ),
        Wrong(
            "takes equal nodes for one",
            "two nodes may hold the same number; a list takes them for one",
            """
            def is_order(nodes, root):
                seen = []
                for node in nodes:
                    if node in seen or any(p not in seen for p in node._parents):
                        return False
                    seen.append(node)
                return len(seen) == len(topological_order(root))
            """,
        ),
        Wrong(
            "takes an equal node for the parent",
            "two comes after its child: an equal number does not help it",
            """
            def is_order(nodes, root):
                for i, node in enumerate(nodes):
                    if any(p not in nodes[:i] for p in node._parents):
                        return False
                return len(nodes) == len(topological_order(root))
            """,
        ),
    ],
    "pull": [
        edit(
            "forgets the seed",
            "nothing has arrived: who gave the result its gradient?",
            ("    root.grad += seed\n", ""),
        ),
        Wrong(
            "recurses without an order",
            "a is used twice and must wait for both: go from the end, each once",
            """
            def pull(root, seed):
                def visit(node):
                    if node._backward is not None:
                        node._backward(node.grad)
                    for parent in node._parents:
                        visit(parent)

                root.grad = seed
                visit(root)
            """,
        ),
        edit(
            "clears the leaves, too",
            "a leaf adds up over calls, and you have cleared it",
            (
                "if node._parents:\n            node.zero_grad()",
                "node.zero_grad()",
            ),
        ),
        edit(
            "clears nothing",
            "what the first call left in inner nodes was paid out again",
            ("node.zero_grad()", "pass"),
        ),
        edit(
            "begins with 1 whatever the seed",
            "with a seed of 10, ten times as much must arrive",
            ("+= seed", "+= 1.0"),
        ),
        edit(
            "puts the seed where something was",
            "a result may itself be a leaf: it adds up like every leaf",
            ("root.grad += seed", "root.grad = seed"),
        ),
    ],
    "quotient": [
        edit(
            "divides the other way",
            "the value comes first: 6 / 2 is 3",
            ("a / b, (x, y)", "b / a, (x, y)"),
        ),
        edit(
            "names one parent",
            "backward goes to the parents, and must find both there",
            ('(x, y), "/"', '(x,), "/"'),
        ),
        edit(
            "has no minus",
            "a larger y makes the quotient smaller: a minus",
            ("y.grad -= ", "y.grad += "),
        ),
        edit(
            "treats it as a sum on the left",
            "x from 6 to 6.2 moves 6 / 2 from 3 to 3.1: half as far",
            ("x.grad += grad / b", "x.grad += grad"),
        ),
        edit(
            "divides once on the right",
            "y from 2 to 2.002 moves 6 / 2 by -0.003: count the y's",
            ("/ (b * b)", "/ b"),
        ),
        edit(
            "ignores what comes in",
            "5 came in: a rule multiplies what comes in",
            ("x.grad += grad / b", "x.grad += 1 / b"),
        ),
        edit(
            "replaces instead of adding",
            "x / x is 1 everywhere: one share has replaced the other",
            ("x.grad += grad", "x.grad = grad"),
            ("y.grad -= grad", "y.grad = -grad"),
        ),
        Wrong(
            "reads the operands late",
            "the rule looked at numbers that changed after the forward pass",
            """
            def quotient(x, y):
                def _backward(grad):
                    x.grad += grad / y.data
                    y.grad -= grad * x.data / y.data**2

                return type(x)(x.data / y.data, (x, y), "/", _backward)
            """,
        ),
    ],
    "sin": [
        edit(
            "halves where it means a root",
            "the value is wrong, before any slope",
            ("root = math.sqrt(x.data)", "root = x.data ** 1 / 2"),
        ),
        edit(
            "names no parent",
            "the new node does not hang on x",
            ('(x,), "cos"', '(), "cos"'),
        ),
        edit(
            "has the wrong sign",
            "a nudge measures another slope",
            ("x.grad -= grad", "x.grad += grad"),
        ),
        edit(
            "ignores what comes in",
            "the rule forgets the gradient that comes in",
            ("grad / (2 * root)", "1 / (2 * root)"),
        ),
        edit(
            "replaces instead of adding",
            "a second share must be added to the first",
            ("x.grad += grad * math.cos", "x.grad = grad * math.cos"),
        ),
        edit(
            "reads the operand late",
            "the rule looked at x after the forward pass",
            ("grad * math.cos(number)", "grad * math.cos(x.data)"),
        ),
    ],
    "minimise": [
        edit(
            "makes a new node",
            "w has not moved: only a new number in w.data is an update",
            ("p.data -= rate * p.grad", "p = p - rate * p.grad"),
        ),
        edit(
            "goes uphill",
            "the gradient at 0 is -24, and downhill is against it: 0 + 2.4",
            ("p.data -= ", "p.data += "),
        ),
        Wrong(
            "runs forward once",
            "a graph holds the numbers of one forward pass: each step needs one",
            """
            def minimise(loss, parameters, rate, steps):
                result = loss()
                for _ in range(steps):
                    for p in parameters:
                        p.zero_grad()
                    result.backward()
                    for p in parameters:
                        p.data -= rate * p.grad
            """,
        ),
        edit(
            "never clears",
            "the gradients of all steps have been added up: clear them",
            ("p.zero_grad()", "pass"),
        ),
        Wrong(
            "clears after the step",
            "a gradient of before was in the way: clear it before backward",
            """
            def minimise(loss, parameters, rate, steps):
                for _ in range(steps):
                    loss().backward()
                    for p in parameters:
                        p.data -= rate * p.grad
                        p.zero_grad()
            """,
        ),
        Wrong(
            "moves one after the other",
            "u and v must both go by the gradient at the place of before",
            """
            def minimise(loss, parameters, rate, steps):
                for _ in range(steps):
                    for p in parameters:
                        p.zero_grad()
                        loss().backward()
                        p.data -= rate * p.grad
            """,
        ),
    ],
    "minibatches": [
        edit(
            "drops the last batch",
            "10 examples by 4 are batches of 4, 4, and the 2 that are left",
            ("range(0, len(order), size)", "range(0, len(order) - size + 1, size)"),
        ),
        Wrong(
            "shuffles twice",
            "inputs have lost their targets: both need the same order",
            """
            def minibatches(inputs, targets, size, rng):
                inputs = rng.sample(inputs, len(inputs))
                targets = rng.sample(targets, len(targets))
                for start in range(0, len(inputs), size):
                    end = start + size
                    yield inputs[start:end], targets[start:end]
            """,
        ),
        edit(
            "draws and puts back",
            "an epoch has each example once: none twice, none never",
            (
                "rng.shuffle(order)",
                "order = rng.choices(order, k=len(order))",
            ),
        ),
        edit(
            "forgets to shuffle",
            "nothing is shuffled",
            ("    rng.shuffle(order)\n", ""),
        ),
        Wrong(
            "shuffles the caller's lists",
            "the lists are your caller's, and you have shuffled them",
            """
            def minibatches(inputs, targets, size, rng):
                state = rng.getstate()
                rng.shuffle(inputs)
                rng.setstate(state)
                rng.shuffle(targets)
                for start in range(0, len(inputs), size):
                    end = start + size
                    yield inputs[start:end], targets[start:end]
            """,
        ),
        edit(
            "makes a generator of its own",
            "the second epoch has the order of the first: go on with rng",
            ("rng.shuffle", "random.Random(0).shuffle"),
        ),
        edit(
            "draws from elsewhere",
            "the same seed must give the same order: draw from rng alone",
            ("rng.shuffle", "random.shuffle"),
        ),
    ],
}
