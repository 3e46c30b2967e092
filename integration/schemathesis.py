"""Throws generated requests at a running daemon and checks that every answer is one that OpenAPI describes.

    METAOPT_URL=… METAOPT_TOKEN=… python integration/schemathesis.py [--seconds 80] [--seed N]

Use a daemon of its own, started with `--slots 0 --gpus none`: studies are created, filled and deleted, and generated
commands must find no slot to run on (this refuses to start where there is one). Two rounds: first right and wrong
requests with names as they come (nearly always unknown ones), then right ones led to a study and trials that exist,
so that handlers get past their first line; too few successes there fail the run, since then it would test nothing.
The seed is printed; the same seed gives the same requests.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Never ends, so that no request to it does.
ENDLESS = ["followEvents"]
# Would take away what the second round works on.
DESTRUCTIVE = ["deleteStudy", "cancelStudy", "archiveStudy", "pauseStudy", "drainNode"]

# The first hook says how to send media types that the tool doesn't know: as the bytes or text that were generated.
# The second leads requests of the second round to what exists; one in eight keeps what was generated.
HOOKS = """
import json, os, zlib
import schemathesis

KNOWN = json.loads(os.environ.get("METAOPT_KNOWN", "{}"))
BODIES = json.loads(os.environ.get("METAOPT_BODIES", "{}"))

@schemathesis.serializer("application/x-ndjson", "application/zstd")
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")

@schemathesis.hook
def before_call(ctx, case, kwargs):
    for name, known in KNOWN.items():
        if name in (case.path_parameters or {}):
            pick = zlib.crc32(repr((case.path_parameters[name], case.body)).encode("utf-8", "replace"))
            if pick % 8:
                case.path_parameters[name] = known[pick // 8 % len(known)]
    fixed = BODIES.get(case.method + " " + case.operation.path)
    if fixed and isinstance(case.body, dict):
        case.body.update(fixed)
"""

# Fields that generated values practically never get right together.
SPACE = [
    {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
    {"name": "opt", "type": "categorical", "choices": ["a", "b", None, 3]},
    {"name": "m", "type": "int", "low": 1, "high": 64, "log": True, "when": {"opt": ["a"]}},
]
LOSS = {"metric": "loss", "direction": "minimize"}
BODIES = {
    "POST /api/v1/studies": {
        "space": SPACE,
        "objectives": [LOSS],
        "constraints": [],
        "sampler": {"name": "random"},
        "early_stopping": {"rule": "none"},
        "budget": {},
        "run": None,
    },
    "POST /api/v1/studies/{study}/trials": {"params": {"x": 0.5, "opt": "b"}},
    "POST /api/v1/trials/{trial}/complete": {"values": {"loss": 0.5, "speed": 2}, "state": "complete", "attempt": 1},
    "POST /api/v1/trials/{trial}/reports": {"values": {"loss": 0.5}, "attempt": 1},
}
# The share of the second round's answers that must be successes at least; how many there are depends on the machine.
ENOUGH = 0.25


def call(url: str, token: str, path: str, body: object) -> dict:
    request = urllib.request.Request(
        f"{url}/api/v1{path}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def this_node(url: str, token: str) -> dict:
    request = urllib.request.Request(f"{url}/api/v1/nodes", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["items"][0]


def answers(url: str, token: str) -> tuple[int, int]:
    """How many successes the daemon has answered so far, and how many answers altogether."""
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    counts = [(line, int(line.split()[-1])) for line in lines if "responses_total{class=" in line]
    return sum(count for line, count in counts if '"2xx"' in line), sum(count for _, count in counts)


def prime(url: str, token: str) -> tuple[list[str], list[str]]:
    """A study with trials in several states, and another with two objectives."""
    name = f"fuzz-{random.randrange(10**9)}"
    speed = {"metric": "speed", "direction": "maximize"}
    call(
        url,
        token,
        "/studies",
        {"name": name, "space": SPACE, "objectives": [LOSS], "early_stopping": {"rule": "median"}},
    )
    call(url, token, "/studies", {"name": f"{name}-two", "space": SPACE, "objectives": [LOSS, speed]})
    trials = []
    for i in range(8):
        for study in (name, f"{name}-two"):
            trial = call(url, token, f"/studies/{study}/trials/suggest", {"client_id": f"c{i}"})["items"][0]
            trials.append(trial["id"])
            at = f"/trials/{trial['id']}"
            for step in (1, 2, 3):
                call(url, token, f"{at}/reports", {"step": step, "values": {"loss": 1 / (i + step), "speed": i}})
            if i < 5:
                call(url, token, f"{at}/complete", {"values": {"loss": 1 / (i + 4), "speed": i}})
    return [name, f"{name}-two"], trials


def run(url: str, token: str, seconds: int, seed: int, mode: str, known: dict, skip: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "metaopt_hooks.py").write_text(HOOKS)
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "metaopt_hooks", "PYTHONPATH": folder}
        environment["METAOPT_KNOWN"] = json.dumps(known)
        environment["METAOPT_BODIES"] = json.dumps(BODIES if known else {})
        command = [str(Path(sys.executable).with_name("st")), "--no-color", "run"]
        command += [f"{url}/api/openapi.json", "--checks", CHECKS, "--max-time", str(seconds), "--seed", str(seed)]
        command += ["--header", f"Authorization: Bearer {token}", "--request-timeout", "20", "--workers", "1"]
        command += ["--suppress-health-check", "all", "--warnings", "off", "--max-failures", "20"]
        command += ["--mode", mode]
        for operation in skip:
            command += ["--exclude-operation-id", operation]
        return subprocess.run(command, cwd=folder, env=environment, check=False, timeout=seconds + 120).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=80, help="for both rounds together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    url, token = os.environ["METAOPT_URL"].rstrip("/"), os.environ["METAOPT_TOKEN"]
    print(f"seed {options.seed}", flush=True)
    random.seed(options.seed)
    node = this_node(url, token)
    if node["slots"]:
        print("this daemon could run generated commands: start one with --slots 0 --gpus none", file=sys.stderr)
        return 2
    each = max(options.seconds // 2, 1)
    failed = run(url, token, each, options.seed, "all", {}, ENDLESS)
    studies, trials = prime(url, token)
    known = {"study": studies, "trial": trials, "node": [node["id"], node["name"]]}
    good_before, all_before = answers(url, token)
    failed = run(url, token, each, options.seed, "positive", known, ENDLESS + DESTRUCTIVE) or failed
    good, all_now = answers(url, token)
    good, total = good - good_before, all_now - all_before
    print(f"{good} of {total} answers of the second round were successes")
    if good < ENOUGH * total or good == 0:
        print(f"that is less than {ENOUGH:.0%}: the requests did not get far enough to mean much", file=sys.stderr)
        failed = 1
    with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
        alive = json.load(answer)["status"] == "ok"
    return failed or int(not alive)


if __name__ == "__main__":
    sys.exit(main())
