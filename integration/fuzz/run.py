"""Builds the fuzz targets and runs them; see docs/testing.md.

    run.py                            every target for ten seconds: what CI does
    run.py --seconds 600 spaces       one target for ten minutes
    run.py spaces FILE ...            these inputs only, once

A stable toolchain and a C++ compiler (brought where it is missing and apt can) are enough: targets are plain binaries,
linked with libFuzzer and built with the compiler's own coverage counters. `cargo fuzz run --fuzz-dir integration/fuzz
--sanitizer none` reads the same layout.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET_DIR = HERE.parents[1] / "target" / "fuzz"
TARGETS = sorted(path.stem for path in (HERE / "fuzz_targets").glob("*.rs"))

# What `cargo fuzz` passes without a sanitizer. All of it is stable, so no nightly compiler is needed.
COVERAGE = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
]
# Seconds for one input; megabytes resident, C libraries included. Rust code alone may hold less: see src/lib.rs.
LIMITS = ["-timeout=10", "-rss_limit_mb=1024"]
# Longest inputs, in bytes, where libFuzzer's own guess (the longest seed) would be too little or too much.
LONGEST = {"archives": 16384, "documents": 8192, "markers": 1024, "database": 256}


def build() -> Path:
    """Compiles all targets and answers where they are."""
    need_cpp()
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = version.split("host: ")[1].split()[0]
    env = os.environ | {"RUSTFLAGS": " ".join(COVERAGE), "CARGO_TARGET_DIR": str(TARGET_DIR)}
    env.pop("CARGO_ENCODED_RUSTFLAGS", None)
    # Named, so that build scripts and macros, which run on the host, are not instrumented.
    command = ["cargo", "build", "--release", "--locked", "--bins", "--target", host]
    subprocess.run(command, check=True, cwd=HERE, env=env)
    return TARGET_DIR / host / "release"


def need_cpp() -> None:
    """Makes sure of a C++ compiler, for libFuzzer. On a bare machine of CI, where we are root, it is installed."""
    if "CXX" in os.environ or shutil.which("c++"):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        sys.exit("fuzzing needs a C++ compiler: install `g++`, or name one in CXX")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", "g++"], check=True)


def run(binary: Path, seconds: int, seed: int | None) -> tuple[str, bool]:
    """Demands that good seeds are accepted, then fuzzes. Answers what to print, and whether all is well."""
    name = binary.name
    seeds = HERE / "seeds" / name
    found = TARGET_DIR / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    good = sorted(map(str, seeds.glob("good-*")))
    if not good:
        return f"{name}: no seed called good-…, so nothing shows that it reaches its code", False
    first = call([binary, *LIMITS, *good], os.environ | {"METAOPT_FUZZ_GOOD": "1"})
    if first.returncode:
        return f"{name}: a good seed is not accepted\n{tail(first)}", False
    options = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={found}/", "-print_final_stats=1"]
    if name in LONGEST:
        options.append(f"-max_len={LONGEST[name]}")
    words = HERE / "words" / f"{name}.dict"
    if words.exists():
        options.append(f"-dict={words}")
    if seed is not None:
        options.append(f"-seed={seed}")
    with tempfile.TemporaryDirectory() as fresh:
        # What earlier runs kept would make each run another one.
        corpus = TARGET_DIR / "corpus" / name if seed is None else Path(fresh)
        corpus.mkdir(parents=True, exist_ok=True)
        done = call([binary, *options, corpus, seeds], dict(os.environ))
    if done.returncode:
        return f"{name}: FAILED\n{tail(done)}\nagain: {sys.executable} {__file__} {name} {found}/…", False
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    cover = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    edges, features, inputs = cover[-1] if cover else ("?", "?", "?")
    count = runs.group(1) if runs else "?"
    return f"{name}: {count} runs, {edges} edges, {features} features, {inputs} inputs kept", True


def call(command: list[object], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a target; its inputs may be anything, and so may what it prints."""
    env = env | {"RUST_BACKTRACE": "1"}
    return subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, errors="replace")


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """The last lines of what a target said."""
    return "\n".join(done.stderr.splitlines()[-40:])


def main() -> int:
    """Builds and runs; the exit status says whether anything was found."""
    parser = argparse.ArgumentParser(description="Builds and runs fuzz targets.")
    parser.add_argument("target", nargs="?", choices=TARGETS, help="only this one")
    parser.add_argument("inputs", nargs="*", help="run these inputs once instead of fuzzing")
    parser.add_argument("--seconds", type=int, default=10, help="for each target")
    parser.add_argument("--seed", type=int, help="of the mutations; with it a run begins at the committed inputs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    options = parser.parse_args()
    binaries = build()
    if options.inputs:
        return call_through([binaries / options.target, *LIMITS, *options.inputs])
    targets = [options.target] if options.target else TARGETS
    with ThreadPoolExecutor(options.jobs) as pool:
        results = pool.map(lambda name: run(binaries / name, options.seconds, options.seed), targets)
        well = True
        for text, good in results:
            print(text, flush=True)
            well &= good
    return 0 if well else 1


def call_through(command: list[object]) -> int:
    """Runs a target with its own output."""
    return subprocess.run(list(map(str, command))).returncode


if __name__ == "__main__":
    sys.exit(main())
