"""The search space in Python: one class per type of parameter, and their JSON form (the REST API's).

Whether a range makes sense is checked by the daemon, which names every wrong field at once; here only shapes are built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from .errors import ValidationError

Choice = Union[str, int, float, bool, None]
When = Mapping[str, Union[Choice, Sequence[Choice]]]


@dataclass(frozen=True)
class Normal:
    """A prior: good values are thought to lie around `mu`, within some `sigma`, in the parameter's own units."""

    mu: float
    sigma: float

    def to_json(self) -> Dict[str, Any]:
        """The REST API's form."""
        return {"normal": [self.mu, self.sigma]}


@dataclass(frozen=True)
class Float:
    """A real number from `low` to `high`; `log` searches on a logarithmic scale, `step` keeps to `low + i * step`."""

    name: str
    low: float
    high: float
    log: bool = False
    step: Optional[float] = None
    prior: Optional[Normal] = None
    default: Optional[float] = None
    when: Optional[When] = None

    def to_json(self) -> Dict[str, Any]:
        """The REST API's form."""
        return _number(self, "float")


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included."""

    name: str
    low: int
    high: int
    log: bool = False
    step: Optional[int] = None
    prior: Optional[Normal] = None
    default: Optional[int] = None
    when: Optional[When] = None

    def to_json(self) -> Dict[str, Any]:
        """The REST API's form."""
        return _number(self, "int")


@dataclass(frozen=True)
class Categorical:
    """One of several values without an order: strings, numbers, booleans or `None`."""

    name: str
    choices: Sequence[Choice]
    default: Choice = None
    when: Optional[When] = None

    def to_json(self) -> Dict[str, Any]:
        """The REST API's form."""
        return {**_head(self.name, "categorical"), "choices": list(self.choices), **_tail(self.default, self.when)}


@dataclass(frozen=True)
class Ordinal:
    """One of several values in order, smallest first."""

    name: str
    choices: Sequence[Choice]
    default: Choice = None
    when: Optional[When] = None

    def to_json(self) -> Dict[str, Any]:
        """The REST API's form."""
        return {**_head(self.name, "ordinal"), "choices": list(self.choices), **_tail(self.default, self.when)}


@dataclass(frozen=True)
class Bool:
    """`True` or `False`."""

    name: str
    default: Optional[bool] = None
    when: Optional[When] = None

    def to_json(self) -> Dict[str, Any]:
        """The REST API's form."""
        return {**_head(self.name, "bool"), **_tail(self.default, self.when)}


@dataclass(frozen=True)
class Fidelity:
    """How much an attempt may spend (epochs, say), from `low` to `high` in rungs `base` times apart; the rule chooses it."""

    name: str
    low: int
    high: int
    base: int = 3
    default: Optional[int] = None
    when: Optional[When] = None

    def to_json(self) -> Dict[str, Any]:
        """The REST API's form."""
        head = {**_head(self.name, "fidelity"), "low": self.low, "high": self.high, "base": self.base}
        return {**head, **_tail(self.default, self.when)}


Parameter = Union[Float, Int, Categorical, Ordinal, Bool, Fidelity]
_CLASSES = (Float, Int, Categorical, Ordinal, Bool, Fidelity)


def _head(name: str, kind: str) -> Dict[str, Any]:
    return {"name": name, "type": kind}


def _tail(default: Any, when: Optional[When]) -> Dict[str, Any]:
    tail: Dict[str, Any] = {}
    if default is not None:
        tail["default"] = default
    if when:
        tail["when"] = {parent: _values(wanted) for parent, wanted in when.items()}
    return tail


def _values(wanted: Union[Choice, Sequence[Choice]]) -> List[Choice]:
    # `when={"opt": "sgd"}` reads better than a list of one.
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return list(wanted)
    return [wanted]


def _number(parameter: Union[Float, Int], kind: str) -> Dict[str, Any]:
    out: Dict[str, Any] = {**_head(parameter.name, kind), "low": parameter.low, "high": parameter.high}
    if parameter.log:
        out["log"] = True
    if parameter.step is not None:
        out["step"] = parameter.step
    if parameter.prior is not None:
        out["prior"] = parameter.prior.to_json()
    return {**out, **_tail(parameter.default, parameter.when)}


def to_json(space: Sequence[Union[Parameter, Mapping[str, Any]]]) -> List[Dict[str, Any]]:
    """A space as JSON; parameters may also be given as the REST API's dictionaries."""
    out: List[Dict[str, Any]] = []
    for index, parameter in enumerate(space):
        if isinstance(parameter, _CLASSES):
            out.append(parameter.to_json())
        elif isinstance(parameter, Mapping):
            out.append(dict(parameter))
        else:
            kinds = ", ".join(f"metaopt.{c.__name__}" for c in _CLASSES)
            raise ValidationError(
                f"space[{index}] is a {type(parameter).__name__}: write one of {kinds}, or a dictionary"
            )
    return out


def from_json(parameter: Mapping[str, Any]) -> Parameter:
    """A parameter as answered by the daemon."""
    kind, name = parameter.get("type"), str(parameter.get("name"))
    default, when = parameter.get("default"), parameter.get("when")
    if kind in ("float", "int"):
        normal = (parameter.get("prior") or {}).get("normal")
        prior = Normal(*normal) if normal else None
        low, high, step = parameter["low"], parameter["high"], parameter.get("step")
        log = bool(parameter.get("log", False))
        if kind == "float":
            return Float(name, float(low), float(high), log, step, prior, default, when)
        return Int(name, int(low), int(high), log, step, prior, default, when)
    if kind == "categorical":
        return Categorical(name, list(parameter["choices"]), default, when)
    if kind == "ordinal":
        return Ordinal(name, list(parameter["choices"]), default, when)
    if kind == "bool":
        return Bool(name, default, when)
    if kind == "fidelity":
        return Fidelity(
            name, int(parameter["low"]), int(parameter["high"]), int(parameter.get("base", 3)), default, when
        )
    raise ValidationError(f"parameter {name!r} is of type {kind!r}, which this version of the package does not know")


def same_value(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; unlike Python, `true` is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool) and one == other
    return bool(one == other)


def check_number(
    parameter: Optional[Parameter], call: str, name: str, low: float, high: float, step: Optional[float], log: bool
) -> None:
    """Raises where a `suggest_float` or `suggest_int` disagrees with the declared parameter."""
    if parameter is None:
        kind = "Float" if call == "suggest_float" else "Int"
        raise ValidationError(
            f"{call}({name!r}): the study declares no such parameter; add metaopt.{kind}({name!r}, {low}, {high}) to its space"
        )
    # An int is a fine float; the other way round would lose what lies between.
    if not isinstance(parameter, (Float, Int, Fidelity)) or isinstance(
        parameter, Fidelity if call == "suggest_float" else Float
    ):
        raise ValidationError(f"{call}({name!r}): it is declared as {_describe(parameter)}")
    differs = (
        parameter.low != low
        or parameter.high != high
        or (log and not getattr(parameter, "log", False))
        or (step is not None and getattr(parameter, "step", None) not in (step, None if step == 1 else step))
    )
    if differs:
        raise ValidationError(
            f"{call}({name!r}, {low}, {high}{', log=True' if log else ''}) disagrees with the declared space: "
            f"it is {_describe(parameter)}; change one of them"
        )


def check_choices(parameter: Optional[Parameter], name: str, choices: Sequence[Choice]) -> None:
    """Raises where a `suggest_categorical` disagrees with the declared parameter."""
    call = f"suggest_categorical({name!r}, {list(choices)!r})"
    if parameter is None:
        raise ValidationError(
            f"{call}: the study declares no such parameter; add metaopt.Categorical({name!r}, {list(choices)!r}) to its space"
        )
    if isinstance(parameter, (Categorical, Ordinal)):
        declared: Sequence[Choice] = parameter.choices
    elif isinstance(parameter, Bool):
        declared = [False, True]
    else:
        raise ValidationError(f"{call}: it is declared as {_describe(parameter)}")
    for one, other in ((choices, declared), (declared, choices)):
        if any(not any(same_value(a, b) for b in other) for a in one):
            raise ValidationError(f"{call} disagrees with the declared space: its choices are {list(declared)!r}")


def _describe(parameter: Parameter) -> str:
    name = type(parameter).__name__
    if isinstance(parameter, (Categorical, Ordinal)):
        return f"{name}({parameter.name!r}, {list(parameter.choices)!r})"
    if isinstance(parameter, Bool):
        return f"{name}({parameter.name!r})"
    more = ""
    if isinstance(parameter, (Float, Int)):
        more = (", log=True" if parameter.log else "") + (
            f", step={parameter.step}" if parameter.step is not None else ""
        )
    return f"{name}({parameter.name!r}, {parameter.low}, {parameter.high}{more})"
