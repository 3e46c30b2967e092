"""metaopt's engine in process, through its example `ask_tell`: no daemon, no disk, no network."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

Params = Dict[str, Any]


class StoppedError(Exception):
    """There is nothing to suggest (`exhausted`), or nothing for this node at present (`wait`)."""


class RefusedError(Exception):
    """This version of the engine has no such sampler, or it has no use for such a space."""


class Asked(NamedTuple):
    """A suggestion."""

    id: int
    params: Params
    cpu_ms: float
    #: What has happened so far, for `sync`.
    at: int
    #: Steps that it has done: above 0 for a paused trial that goes on.
    resume_step: int = 0


class Told(NamedTuple):
    """What is to be done after a report."""

    action: str
    cpu_ms: float
    at: int


class Engine:
    """A process of `ask_tell`; it holds one study at a time."""

    def __init__(self, programs: Path) -> None:
        """Starts it when it is first needed."""
        self.program = programs / "examples" / "ask_tell"
        self.process: Optional[subprocess.Popen[str]] = None

    def call(self, **said: Any) -> Dict[str, Any]:
        """One line each way."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [str(self.program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(said) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"ask_tell ended; its message stands above, and this was said to it: {json.dumps(said)[:500]}"
        return dict(json.loads(line))

    def names(self) -> List[str]:
        """The samplers that there are."""
        return [str(name) for name in self.call(op="names")["names"]]

    def rules(self) -> List[str]:
        """The early-stopping rules that there are."""
        return [str(name) for name in self.call(op="names").get("rules", [])]

    def close(self) -> None:
        """Ends it."""
        if self.process is not None:
            self.process.communicate()
            self.process = None


class Study:
    """A study in an engine's process, seen by one node or several."""

    def __init__(
        self,
        engine: Engine,
        space: Sequence[Dict[str, Any]],
        sampler: str,
        seed: int,
        objectives: int = 1,
        nodes: int = 1,
        budget: Optional[int] = None,
        stopping: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Begins it; `sampler` may carry options: `tpe?gamma=0.2&n_startup_trials=8`. `stopping`: as a study has it."""
        self.engine = engine
        said = engine.call(
            op="study",
            space=[declared(param) for param in space],
            sampler={**spec(sampler), "seed": seed},
            objectives=objectives,
            nodes=nodes,
            budget=budget,
            early_stopping=stopping or {"rule": "none"},
        )
        if "error" in said:
            raise RefusedError(said["error"])

    def ask(self, node: int = 0) -> Asked:
        """The next configuration of a node."""
        said = self.engine.call(op="ask", node=node)
        if "stop" in said:
            raise StoppedError(said["stop"])
        return Asked(said["id"], said["params"], said["cpu_ms"], said["at"], said.get("resume_step", 0))

    def report(self, trial: int, step: int, value: float, freezes: bool = True) -> Told:
        """A point of its curve; where the answer is to stop or to pause, the trial has. `freezes`: it leaves checkpoints."""
        said = self.engine.call(op="report", id=trial, step=step, value=value, freezes=freezes)
        return Told(said["action"], said["cpu_ms"], said["at"])

    def tell(
        self, trial: int, values: Sequence[float], state: str = "complete", constraints: Sequence[float] = ()
    ) -> int:
        """Ends a trial at the node that asked for it."""
        said = self.engine.call(op="tell", id=trial, values=values, state=state, constraints=constraints)
        return int(said["at"])

    def add(self, trials: Sequence[Dict[str, Any]]) -> None:
        """Finished trials from elsewhere: `params`, `values`, `state`, `constraints`."""
        self.engine.call(op="add", trials=trials)

    def sync(self, node: int, at: int) -> None:
        """Shows a node what had happened by then."""
        self.engine.call(op="sync", node=node, at=at)


def spec(sampler: str) -> Dict[str, Any]:
    """A sampler's name and options as a study has them."""
    name, _, query = sampler.partition("?")
    pairs = (pair.split("=", 1) for pair in query.split("&") if pair)
    return {"name": name, **{key: json.loads(value) for key, value in pairs}}


def declared(param: Dict[str, Any]) -> Dict[str, Any]:
    """A parameter of a bench's problem as metaopt declares it."""
    kind = "categorical" if param["type"] == "cat" else param["type"]
    plain = {key: value for key, value in param.items() if key != "when"}
    when = param.get("when")
    return {**plain, "type": kind, **({"when": {when["param"]: when["in"]}} if when else {})}
