"""`add_hyperparameter`: a search space declared where the script's arguments are.

Under METAOPT_DESCRIBE=1 the parser prints the space instead of parsing; inside a trial its defaults are the trial's values.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from typing import Any, Callable, Dict, List, Optional

from . import _markers
from ._environment import given_params
from .errors import ValidationError
from .space import Bool, Categorical, Choice, Fidelity, Float, Int, Ordinal, Parameter, same_value

DESCRIBE_PREFIX = "metaopt-space: "
_ATTRIBUTE = "_metaopt_space"
# What the command line gave outside a trial, or would have: the stand-in trial's parameters.
declared_defaults: Dict[str, Any] = {}


def add_hyperparameter(
    parser: argparse.ArgumentParser,
    flag: str,
    marker: str,
    *,
    default: Any = None,
    help: Optional[str] = None,  # noqa: A002 - argparse's name
    dest: Optional[str] = None,
    group: Optional[argparse._ArgumentGroup] = None,
) -> argparse.Action:
    """Adds the argument `flag` (`--lr`) of the type that `marker` (`loguniform(1e-5, 1)`) describes.

    The parameter's name is the flag's without its dashes in front. Inside a trial the argument's default is the trial's
    value; outside it is `default`, else the marker's `default_value`. With `group` the argument is shown in that group.
    """
    name = flag.lstrip("-")
    if not name or name == flag:
        raise ValidationError(f"add_hyperparameter: the flag {flag!r} must start with a dash, as in '--lr'")
    parameter = _markers.parse(name, marker)
    space = _space_of(parser)
    if any(p.name == name for p in space):
        raise ValidationError(f"add_hyperparameter: {flag!r} is declared twice")
    if default is None:
        default = parameter.default
    else:
        default = _converted(parameter, default)
        if parameter.default is None and _searched(parameter, default):
            # The value to try first; one outside the range (no dropout, say) is for runs outside metaopt only.
            parameter = dataclasses.replace(parameter, default=default)
    given = given_params()
    value = _converted(parameter, given[name]) if name in given else default
    convert = _converter(parameter)
    options: Dict[str, Any] = {"type": convert, "default": value, "metavar": _metavar(parameter)}
    options["help"] = help if help is not None else marker.replace("%", "%%")
    if dest is not None:
        options["dest"] = dest
    action: argparse.Action = (group or parser).add_argument(flag, **options)
    space.append(parameter)
    if default is not None:
        declared_defaults[name] = default
    return action


def _space_of(parser: argparse.ArgumentParser) -> List[Parameter]:
    space: Optional[List[Parameter]] = getattr(parser, _ATTRIBUTE, None)
    if space is None:
        space = []
        setattr(parser, _ATTRIBUTE, space)
        # Every way to parse (parse_args, intermixed, subcommands) goes through this one method of the instance, and before
        # anything is checked: a script with required arguments can be described without them.
        setattr(parser, "parse_known_args", _describing(parser, parser.parse_known_args))  # noqa: B010 - mypy
    return space


def _describing(parser: argparse.ArgumentParser, parse: Callable[..., Any]) -> Callable[..., Any]:
    def parse_known_args(*args: Any, **kwargs: Any) -> Any:
        if os.environ.get("METAOPT_DESCRIBE") == "1":
            space = [parameter.to_json() for parameter in _space_of(parser)]
            sys.stdout.write(DESCRIBE_PREFIX + json.dumps(space, allow_nan=False) + "\n")
            sys.stdout.flush()
            parser.exit(0)
        return parse(*args, **kwargs)

    return parse_known_args


def _metavar(parameter: Parameter) -> Optional[str]:
    if isinstance(parameter, Bool):
        return "{true,false}"
    if isinstance(parameter, (Categorical, Ordinal)):
        return "{" + ",".join(text_of(choice) for choice in parameter.choices) + "}"
    return None


def text_of(choice: Choice) -> str:
    """A choice as it stands on a command line: texts as they are, all else as JSON."""
    return choice if isinstance(choice, str) else json.dumps(choice)


def _converter(parameter: Parameter) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return _from_text(parameter, text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {_wanted(parameter)}") from None

    return convert


def _from_text(parameter: Parameter, text: str) -> Any:
    if isinstance(parameter, Float):
        return float(text)
    if isinstance(parameter, (Int, Fidelity)):
        return int(text)
    if isinstance(parameter, Bool):
        lower = text.lower()
        if lower not in ("true", "false"):
            raise ValueError(text)
        return lower == "true"
    for choice in parameter.choices:
        if text == text_of(choice):
            return choice
    raise ValueError(text)


def _wanted(parameter: Parameter) -> str:
    if isinstance(parameter, Float):
        return "a number"
    if isinstance(parameter, (Int, Fidelity)):
        return "a whole number"
    if isinstance(parameter, Bool):
        return "true or false"
    return "one of " + ", ".join(text_of(choice) for choice in parameter.choices)


def _searched(parameter: Parameter, value: Any) -> bool:
    """Whether a search may try this value."""
    if isinstance(parameter, (Categorical, Ordinal)):
        return any(same_value(value, choice) for choice in parameter.choices)
    if isinstance(parameter, Bool):
        return isinstance(value, bool)
    if isinstance(parameter, Fidelity) or isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return bool(parameter.low <= value <= parameter.high)


def _converted(parameter: Parameter, value: Any) -> Any:
    # JSON writes 1.0 as 1 now and then, and argparse users write default="0.1" or default=1.
    if isinstance(value, str):
        try:
            return _from_text(parameter, value)
        except ValueError:
            raise ValidationError(f"{parameter.name!r}: {value!r} is not {_wanted(parameter)}") from None
    if isinstance(parameter, Float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(parameter, (Int, Fidelity)) and isinstance(value, float) and value == int(value):
        return int(value)
    return value
