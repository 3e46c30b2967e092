# metaopt's tasks. `just` is brought by the README's commands where it is missing.

venv := justfile_directory() / ".venv"
python := venv / "bin/python"

# What can be done
default:
    @just --list

# The virtual environment that tests and the demo use (never the system's Python)
venv extras="":
    @test -x {{python}} || python3 -m venv {{venv}}
    @{{python}} -m pip install --quiet --disable-pip-version-check {{extras}}

# Builds everything, tunes a real training script on this machine, and prints the best trial
demo: (venv "./python-client scikit-learn")
    cargo build --release --locked --bins
    @python-client/examples/demo.sh target/release {{python}}

# Installs what tests need and runs them all
test: check
    cargo build --locked --workspace --bins
    METAOPT_PYTHON={{python}} cargo test --locked --workspace
    cd python-client && {{python}} -m pytest

# Format, lints, types, licences: what can be told without running anything
check: (venv "-r python-client/requirements-test.txt")
    cargo fmt --all --check
    cargo fmt --check --manifest-path integration/fuzz/Cargo.toml
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cargo clippy --locked --manifest-path integration/fuzz/Cargo.toml --target-dir target -- -D warnings
    {{python}} integration/licences.py
    cd python-client && {{python}} -m ruff check . && {{python}} -m ruff format --check . && {{python}} -m mypy

# Rewrites everything in the house format
format: (venv "ruff")
    cargo fmt --all
    cargo fmt --manifest-path integration/fuzz/Cargo.toml
    cd python-client && {{python}} -m ruff format .

# Measures start, idle cost, first trial and overhead (docs/performance.md)
bench: (venv "pip")
    cargo build --release --locked --bins
    {{python}} integration/bench.py target/release

# Searches one target, or `all`, for inputs that break it, and goes on from what earlier runs found (docs/testing.md)
fuzz target seconds="600":
    python3 integration/fuzz/run.py {{ if target == "all" { "" } else { target } }} --seconds {{seconds}}

# What CI does: every target for ten seconds, from the committed inputs and always with the same mutations
fuzz-short:
    python3 integration/fuzz/run.py --seconds 10 --seed 1
