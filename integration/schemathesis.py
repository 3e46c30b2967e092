"""Throws generated requests at a running daemon and checks that every answer is one that OpenAPI describes.

    METAOPT_URL=… METAOPT_TOKEN=… python integration/schemathesis.py [--seconds 80] [--seed N]

Use a daemon of its own, started with `--slots 0 --gpus none`: studies are created, filled and deleted, and generated
commands must find no slot to run on (this refuses to start where there is one). Two rounds: first right and wrong requests with
names as they come (nearly always unknown ones), then right ones to a study and trials that exist, so that handlers get
past their first line. The seed is
printed; the same seed gives the same requests.
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

# How to send media types that the tool doesn't know: as the bytes or text that were generated.
HOOKS = """
import schemathesis

@schemathesis.serializer("application/x-ndjson", "application/zstd")
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
"""


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


def prime(url: str, token: str) -> tuple[list[str], list[str]]:
    """A study with trials in several states, and another with two objectives."""
    name = f"fuzz-{random.randrange(10**9)}"
    space = [
        {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "opt", "type": "categorical", "choices": ["a", "b", None, 3]},
        {"name": "m", "type": "int", "low": 1, "high": 64, "log": True, "when": {"opt": ["a"]}},
    ]
    loss = {"metric": "loss", "direction": "minimize"}
    speed = {"metric": "speed", "direction": "maximize"}
    call(url, token, "/studies", {"name": name, "space": space, "objectives": [loss], "early_stopping": {"rule": "median"}})
    call(url, token, "/studies", {"name": f"{name}-two", "space": space, "objectives": [loss, speed]})
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


def run(url: str, token: str, seconds: int, seed: int, mode: str, config: str, skip: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "schemathesis.toml"
        file.write_text(config)
        (Path(folder) / "metaopt_hooks.py").write_text(HOOKS)
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "metaopt_hooks", "PYTHONPATH": folder}
        command = [str(Path(sys.executable).with_name("st")), "--config-file", str(file), "--no-color", "run"]
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
    failed = run(url, token, each, options.seed, "all", "", ENDLESS)
    studies, trials = prime(url, token)
    config = "\n".join(
        [
            "[parameters]",
            f'"path.study" = {json.dumps(studies)}',
            f'"path.trial" = {json.dumps(trials)}',
            f'"path.node" = {json.dumps([node["id"], node["name"]])}',
        ]
    )
    failed = run(url, token, each, options.seed, "positive", config, ENDLESS + DESTRUCTIVE) or failed
    with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
        alive = json.load(answer)["status"] == "ok"
    return failed or int(not alive)


if __name__ == "__main__":
    sys.exit(main())
