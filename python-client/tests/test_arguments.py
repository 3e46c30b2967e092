"""Markers and the argparse helper."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Dict

import pytest

import metaopt
from metaopt import _markers


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("uniform(0, 1)", {"type": "float", "low": 0.0, "high": 1.0}),
        ("uniform(-1.5, 1e3)", {"type": "float", "low": -1.5, "high": 1000.0}),
        ("loguniform(1e-5, 1)", {"type": "float", "low": 1e-5, "high": 1.0, "log": True}),
        ("randint(1, 12)", {"type": "int", "low": 1, "high": 12}),
        ("lograndint(1, 1024)", {"type": "int", "low": 1, "high": 1024, "log": True}),
        ("quniform(0, 0.9, 0.05)", {"type": "float", "low": 0.0, "high": 0.9, "step": 0.05}),
        ("quniform(0, 8, 2, discrete=True)", {"type": "int", "low": 0, "high": 8, "step": 2}),
        ("normal(0.5, 0.1)", {"type": "float", "low": 0.0, "high": 1.0, "prior": {"normal": [0.5, 0.1]}}),
        ("normal(3, 1, discrete=True)", {"type": "int", "low": -2, "high": 8, "prior": {"normal": [3.0, 1.0]}}),
        ("uniform(1, 10, discrete=True)", {"type": "int", "low": 1, "high": 10}),
        ("loguniform(1, 10, discrete=True)", {"type": "int", "low": 1, "high": 10, "log": True}),
        ("uniform(0, 5, precision=2)", {"type": "float", "low": 0.0, "high": 5.0, "step": 0.1}),
        ("loguniform(1, 5, precision=2)", {"type": "float", "low": 1.0, "high": 5.0, "log": True}),
        ("uniform(0, 1, default_value=0.5)", {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}),
        ('choices(["sgd", "adam"])', {"type": "categorical", "choices": ["sgd", "adam"]}),
        ("choices([1, 2.5, True, None, null])", None),
        ("choices([1, 2.5, true, null])", {"type": "categorical", "choices": [1, 2.5, True, None]}),
        ("choices([1, True])", {"type": "categorical", "choices": [1, True]}),
        ("ordinal(('s', 'm'), default_value='m')", {"type": "ordinal", "choices": ["s", "m"], "default": "m"}),
        ("bool()", {"type": "bool"}),
        ("bool(default_value=False)", {"type": "bool", "default": False}),
        ("fidelity(1, 81)", {"type": "fidelity", "low": 1, "high": 81, "base": 3}),
        ("fidelity(1, 16, base=4)", {"type": "fidelity", "low": 1, "high": 16, "base": 4}),
        ("fidelity(1, 16, 2)", {"type": "fidelity", "low": 1, "high": 16, "base": 2}),
        (
            'uniform(0, 1) if opt == "sgd"',
            {"type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}},
        ),
        (
            'bool() if batch-size in [8, 16] and amp == True and "ü" == "x"',
            None,
        ),
        (
            "bool() if batch-size in [8, 16] and amp == True",
            {"type": "bool", "when": {"batch-size": [8, 16], "amp": [True]}},
        ),
        ("bool() if n in [1, 2, 3] and n in [2, 4]", {"type": "bool", "when": {"n": [2]}}),
    ],
)
def test_markers_mean_what_the_command_line_makes_of_them(marker: str, expected: Dict[str, Any]) -> None:
    if expected is None:
        with pytest.raises(metaopt.ValidationError):
            _markers.parse("p", marker)
        return
    parsed = _markers.parse("p", marker).to_json()
    assert parsed == {"name": "p", **expected}
    # True is not 1 in JSON.
    assert json.dumps(parsed, sort_keys=True) == json.dumps({"name": "p", **expected}, sort_keys=True)


@pytest.mark.parametrize(
    ("marker", "message", "column"),
    [
        ("unifrom(0, 1)", "did you mean uniform(LOW, HIGH)?", 0),
        ("uniform(0, x)", "'x' is not a value; quote texts", 11),
        ("uniform(0)", "needs 'high'", 9),
        ("uniform(0, 1, 2)", "takes no such argument", 14),
        ("uniform(1, 0)", "'high' must be above 1", 11),
        ("loguniform(0, 1)", "'low' must be above 0", 11),
        ("randint(0.5, 3)", "use uniform(LOW, HIGH)", 8),
        ("uniform(0, 1, default=0.5)", "did you mean 'default_value'?", 22),
        ("uniform(0, 1, default_value=2)", "must be a number from 0 to 1", 28),
        ("uniform(0, 1, low=2)", "'low' is given twice", 18),
        ("uniform(0, 1, discrete=1)", "must be True or False", 23),
        ("uniform(0, 5, precision=0)", "significant digits", 24),
        ("quniform(0, 1, 2)", "the step must be", 15),
        ("normal(0, 0)", "'sigma' must be above 0", 10),
        ("choices('a')", "takes a list", 8),
        ("choices(['a', 'a'])", "stands there twice", 8),
        ("choices({'a': 0.5})", "weights are not known", 8),
        ("choices(['ü', b])", "'b' is not a value", 14),
        ("fidelity(0, 9)", "'low' must be above 0", 9),
        ("fidelity(1, 9, base=1)", "'base' must be 2", 20),
        ("bool() if opt = 1", "a comparison is written `==`", 14),
        ('bool() if a == "x" or b == "y"', "`or` is not known", 10),
        ('bool() if a != "x"', "knows `==`, `in` and `and`", 10),
        ("bool() if a in 3", "needs a list", 15),
        ('bool() if "x" == "x"', "name of another parameter", 10),
        ("uniform", "with its arguments in parentheses", 0),
        ("__import__('os').system('true')", "write one of uniform", 0),
        ("", "can't be read", 0),
    ],
)
def test_a_wrong_marker_is_pointed_at(marker: str, message: str, column: int) -> None:
    with pytest.raises(metaopt.ValidationError) as caught:
        _markers.parse("lr", marker)
    text = str(caught.value)
    assert "the marker of 'lr'" in text
    assert message in text
    assert text.splitlines()[-1].index("^") - 2 == column


def parser_with(**defaults: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    metaopt.add_hyperparameter(parser, "--lr", "loguniform(1e-5, 1)", default=defaults.get("lr"))
    metaopt.add_hyperparameter(parser, "--hidden-size", "randint(8, 64)", default=32)
    metaopt.add_hyperparameter(parser, "--opt", 'choices(["sgd", 2, true, null])', default="sgd")
    metaopt.add_hyperparameter(parser, "--amp", "bool()", default=False)
    return parser


def test_arguments_have_their_types_and_defaults_outside_a_trial() -> None:
    parser = parser_with(lr=0.1)
    assert vars(parser.parse_args([])) == {"lr": 0.1, "hidden_size": 32, "opt": "sgd", "amp": False}
    args = parser.parse_args(["--lr", "3e-4", "--hidden-size", "8", "--opt", "true", "--amp", "true"])
    assert vars(args) == {"lr": 3e-4, "hidden_size": 8, "opt": True, "amp": True}
    assert parser.parse_args(["--opt", "2"]).opt == 2
    assert parser.parse_args(["--opt", "null"]).opt is None
    assert metaopt.current_trial().params["hidden-size"] == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", "fast"], "'fast' is not a number"),
        (["--hidden-size", "2.5"], "'2.5' is not a whole number"),
        (["--opt", "adam"], "'adam' is not one of sgd, 2, true, null"),
        (["--amp", "yes"], "'yes' is not true or false"),
    ],
)
def test_wrong_values_are_argparse_errors(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser_with().parse_args(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_inside_a_trial_its_values_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAOPT_TRIAL_ID", "node.0")
    monkeypatch.setenv("METAOPT_PARAMS", '{"lr": 1, "hidden-size": 16.0, "opt": null, "amp": true}')
    args = parser_with().parse_args([])
    assert vars(args) == {"lr": 1.0, "hidden_size": 16, "opt": None, "amp": True}
    assert isinstance(args.lr, float)
    assert isinstance(args.hidden_size, int)
    assert parser_with().parse_args(["--lr", "0.5"]).lr == 0.5


def test_flags_must_be_flags_and_stand_once() -> None:
    parser = argparse.ArgumentParser()
    with pytest.raises(metaopt.ValidationError, match="must start with a dash"):
        metaopt.add_hyperparameter(parser, "lr", "uniform(0, 1)")
    metaopt.add_hyperparameter(parser, "--lr", "uniform(0, 1)")
    with pytest.raises(metaopt.ValidationError, match="declared twice"):
        metaopt.add_hyperparameter(parser, "-lr", "uniform(0, 1)")
    with pytest.raises(metaopt.ValidationError, match="'big' is not a number"):
        metaopt.add_hyperparameter(parser, "--size", "uniform(0, 1)", default="big")


def test_help_shows_the_marker(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    group = parser.add_argument_group("tuned")
    metaopt.add_hyperparameter(parser, "--lr", "loguniform(1e-5, 1)", group=group, dest="rate")
    metaopt.add_hyperparameter(parser, "--amp", "bool()", help="half precision")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    out = capsys.readouterr().out
    assert "tuned:" in out
    assert "loguniform(1e-5, 1)" in out
    assert "--amp {true,false}" in out
    assert "half precision" in out
    assert parser.parse_args(["--lr", "0.5"]).rate == 0.5


SCRIPT = """
    import argparse, metaopt
    parser = argparse.ArgumentParser()
    parser.add_argument("data")                      # required, and not given when described
    metaopt.add_hyperparameter(parser, "--lr", "loguniform(1e-5, 1)", default=0.01)
    metaopt.add_hyperparameter(parser, "--opt", 'choices(["sgd", "adam"])')
    metaopt.add_hyperparameter(parser, "--momentum", 'uniform(0, 1) if opt == "sgd"', default="0.9")
    metaopt.add_hyperparameter(parser, "--epochs", "fidelity(1, 27)", default=9)
    args = parser.PARSE()
    print("trained")
"""


@pytest.mark.parametrize("parse", ["parse_args", "parse_known_args", "parse_intermixed_args"])
def test_a_described_script_prints_its_space_and_leaves(tmp_path: Path, parse: str) -> None:
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT).replace("PARSE", parse))
    source = Path(__file__).parent.parent / "src"
    environment = {**os.environ, "PYTHONPATH": str(source)}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), *arguments]
        return subprocess.run(
            command, env={**environment, **more}, capture_output=True, text=True, timeout=30, check=False
        )

    described = run(METAOPT_DESCRIBE="1")
    assert (described.returncode, described.stderr) == (0, "")
    (line,) = described.stdout.splitlines()
    prefix, _, text = line.partition(": ")
    assert prefix == "metaopt-space"
    assert json.loads(text) == [
        {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": True, "default": 0.01},
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "default": 0.9, "when": {"opt": ["sgd"]}},
        {"name": "epochs", "type": "fidelity", "low": 1, "high": 27, "base": 3},
    ]
    assert run("digits.csv").stdout == "trained\n"
    assert run().returncode == 2


def test_a_default_outside_the_range_is_not_declared() -> None:
    parser = argparse.ArgumentParser()
    action = metaopt.add_hyperparameter(parser, "--lr", "uniform(0.1, 1)", default=0.0)
    assert action.default == 0.0
    (parameter,) = parser._metaopt_space  # type: ignore[attr-defined]
    assert parameter.default is None
