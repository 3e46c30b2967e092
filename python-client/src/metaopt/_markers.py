"""Markers such as `loguniform(1e-5, 1)`: from their text to a parameter. The same grammar as the command line's.

Parsed with Python's own parser, never evaluated.
"""

from __future__ import annotations

import ast
import math
import re
from difflib import get_close_matches
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Tuple

from .errors import ValidationError
from .space import Bool, Categorical, Choice, Fidelity, Float, Int, Normal, Ordinal, Parameter, same_value

# name: (positional arguments, further options, how it is written)
_PRIORS: Dict[str, Tuple[Tuple[str, ...], Tuple[str, ...], str]] = {
    "uniform": (("low", "high"), ("discrete", "precision", "default_value"), "uniform(LOW, HIGH)"),
    "loguniform": (("low", "high"), ("discrete", "precision", "default_value"), "loguniform(LOW, HIGH)"),
    "randint": (("low", "high"), ("default_value",), "randint(LOW, HIGH)"),
    "lograndint": (("low", "high"), ("default_value",), "lograndint(LOW, HIGH)"),
    "quniform": (("low", "high", "q"), ("discrete", "default_value"), "quniform(LOW, HIGH, STEP)"),
    "normal": (("mu", "sigma"), ("discrete", "precision", "default_value"), "normal(MEAN, DEVIATION)"),
    "choices": (("choices",), ("default_value",), 'choices(["a", "b"])'),
    "ordinal": (("choices",), ("default_value",), 'ordinal(["small", "large"])'),
    "bool": ((), ("default_value",), "bool()"),
    "fidelity": (("low", "high", "base"), (), "fidelity(LOW, HIGH, base=3)"),
}
_CONSTANTS: Dict[str, Any] = {"true": True, "false": False, "null": None}
# Five standard deviations to either side hold all but one in a million draws of a normal prior.
_NORMAL_REACH = 5.0
_CLAUSE = re.compile(r"\)\s*if\b")
_SINGLE_EQUALS = re.compile(r"(?<![=!<>])=(?!=)")
_NAME = re.compile(r"[^\W\d][\w.-]*\Z")


def parse(name: str, text: str) -> Parameter:
    """The parameter `name` that the marker `text` describes; raises `ValidationError` pointing at the wrong character."""
    return _Marker(name, text).parameter()


class _Marker:
    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text.strip()
        self.used = ""
        self.args: Dict[str, Tuple[Any, ast.AST]] = {}

    def fail(self, message: str, node: Optional[ast.AST] = None, offset: Optional[int] = None) -> NoReturn:
        at = offset if offset is not None else self.column(node) if node is not None else 0
        at = max(0, min(at, len(self.text)))
        raise ValidationError(f"the marker of {self.name!r}: {message}\n  {self.text}\n  {' ' * at}^")

    def column(self, node: ast.AST) -> int:
        # The parser counts bytes of UTF-8.
        return len(self.text.encode("utf-8")[: getattr(node, "col_offset", 0)].decode("utf-8", "ignore"))

    def parameter(self) -> Parameter:
        # The clause has no `else`, which Python's grammar wants.
        source = self.text + " else None" if _CLAUSE.search(self.text) else self.text
        if "\n" in source:
            self.fail("it must stand on one line")
        try:
            tree: ast.expr = ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError) as error:
            clause = _CLAUSE.search(self.text)
            single = _SINGLE_EQUALS.search(self.text, clause.end()) if clause else None
            if single:
                self.fail("a comparison is written `==`", offset=single.start())
            offset = getattr(error, "offset", None)
            usage = ", ".join(p[2] for p in _PRIORS.values())
            self.fail(f"it can't be read; write one of {usage}", offset=(offset or 1) - 1)
        when: Optional[Dict[str, List[Choice]]] = None
        if isinstance(tree, ast.IfExp):
            when = self.clause(tree.test)
            tree = tree.body
        if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
            self.fail(f"write one of {', '.join(_PRIORS)} with its arguments in parentheses", tree)
        self.used = tree.func.id
        if self.used not in _PRIORS:
            near = get_close_matches(self.used.lower(), _PRIORS, 1)
            advice = f"did you mean {_PRIORS[near[0]][2]}?" if near else f"there are {', '.join(_PRIORS)}"
            self.fail(f"unknown prior {self.used!r}; {advice}", tree.func)
        self.bind(tree)
        return self.meaning(tree, when)

    def bind(self, call: ast.Call) -> None:
        takes, options, usage = _PRIORS[self.used]
        for place, node in enumerate(call.args):
            if place >= len(takes):
                self.fail(f"{self.used} takes no such argument; write {usage}", node)
            self.args[takes[place]] = (self.value(node), node)
        for keyword in call.keywords:
            known = [*takes, *options]
            if keyword.arg is None or keyword.arg not in known:
                near = get_close_matches(keyword.arg or "", [*known], 1)
                if keyword.arg == "default" and "default_value" in known:
                    near = ["default_value"]
                advice = f"did you mean {near[0]!r}?" if near else f"write {usage}"
                self.fail(f"{self.used} has no option {keyword.arg!r}; {advice}", keyword.value)
            if keyword.arg in self.args:
                self.fail(f"{keyword.arg!r} is given twice", keyword.value)
            self.args[keyword.arg] = (self.value(keyword.value), keyword.value)
        for needed in takes:
            if needed not in self.args and needed != "base":
                self.fail(f"{self.used} needs {needed!r}; write {usage}", offset=len(self.text) - 1)

    def value(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (str, int, float))):
            if isinstance(node.value, float) and not math.isfinite(node.value):
                self.fail("a number must be finite", node)
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = self.value(node.operand)
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, ast.Name):
            if node.id in _CONSTANTS:
                return _CONSTANTS[node.id]
            self.fail(f'{node.id!r} is not a value; quote texts: "{node.id}"', node)
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self.value(item) for item in node.elts]
        if isinstance(node, (ast.Dict, ast.Set)):
            self.fail('choices with weights are not known here; list them: choices(["a", "b"])', node)
        self.fail("this is not a value", node)

    def clause(self, test: ast.expr) -> Dict[str, List[Choice]]:
        parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        when: Dict[str, List[Choice]] = {}
        for part in parts:
            if isinstance(part, ast.BoolOp) and isinstance(part.op, ast.Or):
                self.fail('`or` is not known in an `if` clause; write `opt in ["a", "b"]`', part)
            if not isinstance(part, ast.Compare) or len(part.ops) != 1:
                self.fail("an `if` clause knows `==`, `in` and `and`", part)
            # Names may hold dashes, which Python reads as subtractions.
            parent = (ast.get_source_segment(self.text, part.left) or "").strip()
            if not _NAME.match(parent):
                self.fail("expected the name of another parameter", part.left)
            operator, right = part.ops[0], part.comparators[0]
            value = self.value(right)
            if isinstance(operator, ast.Eq):
                if isinstance(value, list):
                    self.fail("`==` compares with one value; for several write `in [...]`", right)
                values = [value]
            elif isinstance(operator, ast.In):
                if not isinstance(value, list) or not value:
                    self.fail('`in` needs a list of values, as in `opt in ["sgd", "adam"]`', right)
                values = value
            else:
                self.fail("an `if` clause knows `==`, `in` and `and`", part)
            if parent in when:
                values = [v for v in when[parent] if any(same_value(v, w) for w in values)]
                if not values:
                    self.fail(f"no value of {parent!r} satisfies this", part)
            when[parent] = values
        return when

    # --- arguments ---

    def number(self, name: str) -> float:
        value, node = self.args[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fail(f"{name!r} must be a number", node)
        return float(value)

    def whole(self, name: str) -> int:
        value, node = self.args[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
            real = {"randint": "; for real numbers use uniform(LOW, HIGH)"}.get(self.used, "")
            self.fail(f"{name!r} must be a whole number{real}", node)
        return int(value)

    def above(self, name: str, value: float, low: float) -> None:
        if value <= low:
            self.fail(f"{name!r} must be above {low:g}", self.args[name][1])

    def discrete(self) -> bool:
        value, node = self.args.get("discrete", (False, None))
        if not isinstance(value, bool):
            self.fail("'discrete' must be True or False", node)
        if value and "precision" in self.args:
            self.fail("whole numbers have no 'precision'", self.args["precision"][1])
        return value

    def precision(self, largest: float, width: float) -> Optional[float]:
        """`precision=N` as a step: the unit of the N-th significant digit of the largest value."""
        value, node = self.args.get("precision", (None, None))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 15:
            self.fail("'precision' is a number of significant digits, 1 to 15", node)
        step = float(f"1e{math.floor(math.log10(largest)) - value + 1}")
        if step > width:
            self.fail("at this precision the range holds a single value; give more digits", node)
        return step

    # --- meanings ---

    def meaning(self, call: ast.Call, when: Optional[Mapping[str, List[Choice]]]) -> Parameter:
        used, name = self.used, self.name
        discrete = self.discrete()
        if used in ("randint", "lograndint") or (used in ("uniform", "loguniform", "quniform") and discrete):
            return self.integer("log" in used, when)
        if used in ("uniform", "loguniform", "quniform"):
            return self.real(used == "loguniform", when)
        if used == "normal":
            return self.normal(discrete, when)
        if used in ("choices", "ordinal"):
            choices, node = self.args["choices"]
            if not isinstance(choices, list) or not choices:
                self.fail(f"{used} takes a list; write {_PRIORS[used][2]}", node)
            for place, choice in enumerate(choices):
                if isinstance(choice, list):
                    self.fail("a choice is a text, a number, True, False or None", node)
                if any(same_value(choice, before) for before in choices[:place]):
                    self.fail(f"the choice {choice!r} stands there twice", node)
            default = self.default(lambda v: any(same_value(v, c) for c in choices), "one of the choices")
            kind = Categorical if used == "choices" else Ordinal
            return kind(name, choices, default, when)
        if used == "bool":
            return Bool(name, self.default(lambda v: isinstance(v, bool), "True or False"), when)
        low, high = self.whole("low"), self.whole("high")
        base = self.whole("base") if "base" in self.args else 3
        self.above("low", low, 0)
        self.above("high", high, low)
        if base < 2:
            self.fail("'base' must be 2 or more", self.args["base"][1])
        return Fidelity(name, low, high, base, None, when)

    def integer(self, log: bool, when: Optional[Mapping[str, List[Choice]]]) -> Int:
        low, high = self.whole("low"), self.whole("high")
        if log:
            self.above("low", low, 0)
        self.above("high", high, low)
        step = None
        if self.used == "quniform":
            step = self.whole("q")
            if not 0 < step <= high - low:
                self.fail(f"the step must be between 1 and {high - low}", self.args["q"][1])
        default = self.default(lambda v: _is_whole(v) and low <= v <= high, f"a whole number from {low} to {high}")
        return Int(self.name, low, high, log, step, None, default, when)

    def real(self, log: bool, when: Optional[Mapping[str, List[Choice]]]) -> Float:
        low, high = self.number("low"), self.number("high")
        if log:
            self.above("low", low, 0.0)
        self.above("high", high, low)
        step = None
        if self.used == "quniform":
            step = self.number("q")
            if not 0 < step <= high - low:
                self.fail(f"the step must be above 0 and at most {high - low:g}", self.args["q"][1])
        else:
            step = self.precision(max(abs(low), abs(high)), math.inf if log else high - low)
            if log:
                # On a logarithmic scale there is no step: `precision` is understood and changes nothing.
                step = None
        default = self.default(lambda v: _is_number(v) and low <= v <= high, f"a number from {low:g} to {high:g}")
        return Float(self.name, low, high, log, step, None, default, when)

    def normal(self, discrete: bool, when: Optional[Mapping[str, List[Choice]]]) -> Parameter:
        mu, sigma = self.number("mu"), self.number("sigma")
        self.above("sigma", sigma, 0.0)
        low, high = mu - _NORMAL_REACH * sigma, mu + _NORMAL_REACH * sigma
        prior = Normal(mu, sigma)
        if discrete:
            least, most = math.floor(low), math.ceil(high)
            whole = self.default(
                lambda v: _is_whole(v) and least <= v <= most, f"a whole number from {least} to {most}"
            )
            return Int(self.name, least, most, False, None, prior, whole, when)
        step = self.precision(max(abs(low), abs(high)), high - low)
        if step is not None:
            low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        default = self.default(lambda v: _is_number(v) and low <= v <= high, f"a number from {low:g} to {high:g}")
        return Float(self.name, low, high, False, step, prior, default, when)

    def default(self, fits: Any, what: str) -> Any:
        if "default_value" not in self.args:
            return None
        value, node = self.args["default_value"]
        if not fits(value):
            self.fail(f"'default_value' must be {what}", node)
        return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and value == int(value)
