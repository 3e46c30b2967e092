# metaopt's tasks. `just` is brought by the README's commands where it is missing.

venv := justfile_directory() / ".venv"
python := venv / "bin/python"
bench_venv := justfile_directory() / ".venv-bench"

# What can be done
default:
    @just --list

# The virtual environment that tests and the demo use (never the system's Python)
venv extras="":
    @test -x {{python}} || python3 -m venv {{venv}}
    @{{python}} -m pip install --quiet --disable-pip-version-check {{extras}}

# Builds everything and shows a cluster on this machine: three nodes, a search, a power cut, who ran what
demo:
    cargo build --release --locked --bins
    @target/release/metaopt demo

# Builds everything, tunes a real scikit-learn script on this machine, and prints the best trial
demo-python: (venv "./python-client scikit-learn")
    cargo build --release --locked --bins
    @python-client/examples/demo.sh target/release {{python}}

# Builds the dashboard's page, which the next build of the daemon takes in; needs Node.js 20 and npm
web:
    cd web && npm ci && npm run build

# The dashboard's types, formatting and logic; then every page and action in Chromium against real daemons (web/README.md)
web-test:
    cd web && npm run check
    cargo build --locked --workspace --bins
    cd web && METAOPT_PROGRAMS={{justfile_directory()}}/target/debug npx vitest run --config vitest.e2e.config.ts tests/pages.e2e.ts

# Installs what tests need and runs them all
test: check
    cargo build --locked --workspace --bins
    METAOPT_PYTHON={{python}} cargo test --locked --workspace
    {{just_executable()}} simulate-mutations
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

# Clusters of real daemons in network namespaces, with their figures (docs/testing.md); needs root
cluster-tests *tests:
    cargo build --locked --workspace --bins
    cargo test --locked -p metaopt-integration --test cluster --test ssh -- --nocapture --test-threads 1 {{tests}}

# The same for longer: real times, other moments at each round (docs/testing.md)
chaos rounds="3" seed="1":
    cargo build --release --locked --bins
    for round in `seq {{seed}} $(({{seed}} + {{rounds}} - 1))`; do \
        METAOPT_CHAOS=1 METAOPT_CHAOS_SEED=$round \
            cargo test --release --locked -p metaopt-integration --test cluster -- --nocapture --test-threads 1 || exit 1; \
    done

# Boxes go from another version to this one while they work; the other one is built from its commit (docs/testing.md)
upgrade-test from="HEAD~1":
    rm -rf target/upgrade && git worktree prune && git worktree add --detach target/upgrade {{from}}
    cargo build --locked --bins --manifest-path target/upgrade/Cargo.toml --target-dir target/upgraded
    git worktree remove --force target/upgrade
    cargo build --locked --workspace --bins
    METAOPT_OLD_PROGRAMS={{justfile_directory()}}/target/upgraded/debug \
        cargo test --locked -p metaopt-integration --test cluster -- --nocapture upgrade

# Clusters in virtual time, one number deciding everything; so many seeds of each scenario, or as many as CI (docs/simulation.md)
simulate seeds="":
    {{ if seeds == "" { "" } else { "METAOPT_SIM_SEEDS=" + seeds } }} cargo test --locked -p metaopt-core --test simulation -- --nocapture

# Breaks one rule of the cluster after another: the simulation must notice each (docs/simulation.md)
simulate-mutations:
    cargo test --locked -p metaopt-core --features mutations --test simulation -- broken_rules --nocapture

# Memory, CPU and bytes of a node in clusters of 2 to 64 that hold up to 100,000 trials (docs/performance.md)
simulate-scale nodes="2,4,8,16,32,64" trials="1000,10000,100000":
    cargo run --release --locked -p metaopt-core --example cluster_scale -- {{nodes}} {{trials}}

# Measures all figures of docs/performance.md, or those named: feel, rate, events, open, suggest, cluster, singly
bench *figures: (_bench figures)

# The same at small sizes in a minute and a half: whether the harness works, not how fast metaopt is
bench-short *figures: (_bench "--short" figures)

# Optuna, the peer that rates and suggestions stand beside, has an environment of its own: tests must not see its packages.
_bench *arguments:
    cargo build --release --locked --bins
    cargo build --release --locked -p metaopt-engine --example suggest_cost
    @test -x {{bench_venv}}/bin/python || python3 -m venv {{bench_venv}}
    @{{bench_venv}}/bin/python -m pip install --quiet --disable-pip-version-check 'optuna>=5,<6' || echo "going on without Optuna"
    @PYTHONPATH=integration:python-client/src {{bench_venv}}/bin/python -m bench target/release {{arguments}}

# What samplers find beside their peers, on all figures or those named (docs/performance.md): found, asynchronous, stale, ...
bench-samplers *arguments: (_samplers arguments)

# The same at small sizes with one seed, for CI: whether the harness works, not how good samplers are
bench-samplers-short *arguments: (_samplers "--short" arguments)

# Peers other than Optuna are slow or large: their runs are stored in integration/samplers/peers.
_samplers *arguments:
    cargo build --release --locked --bins
    cargo build --release --locked -p metaopt-engine --example ask_tell
    @test -x {{bench_venv}}/bin/python || python3 -m venv {{bench_venv}}
    @{{bench_venv}}/bin/python -m pip install --quiet --disable-pip-version-check numpy scipy coco-experiment 'optuna>=5,<6' cmaes \
        || echo "going on with what is installed"
    @OMP_NUM_THREADS=1 PYTHONPATH=integration {{bench_venv}}/bin/python -m samplers target/release {{arguments}}

# What early-stopping rules save beside their peers, on all figures or those named (docs/performance.md): ranks, workers, stale, ...
bench-stopping *arguments: (_stopping arguments)

# The same at small sizes with two seeds: whether the harness works, not how good rules are
bench-stopping-short *arguments: (_stopping "--short" arguments)

# Syne Tune wants an older numpy: its runs are stored in integration/stopping/peers.
_stopping *arguments:
    cargo build --release --locked -p metaopt-engine --example ask_tell
    @test -x {{bench_venv}}/bin/python || python3 -m venv {{bench_venv}}
    @{{bench_venv}}/bin/python -m pip install --quiet --disable-pip-version-check numpy 'optuna>=5,<6' || echo "going on with what is installed"
    @OMP_NUM_THREADS=1 PYTHONPATH=integration {{bench_venv}}/bin/python -m stopping target/release {{arguments}}

# Three real daemons on this machine tune a network with checkpoints, with each rule: epochs and seconds to the same loss (docs/testing.md)
stopping-real *arguments: (venv "numpy scikit-learn")
    cargo build --release --locked --bins
    @OMP_NUM_THREADS=1 PYTHONPATH=integration:python-client/src {{python}} -m stopping.real target/release {{arguments}}

# Trains every configuration of integration/stopping/curves again, some five minutes (docs/testing.md)
curves *names: (venv "numpy scikit-learn")
    OMP_NUM_THREADS=1 PYTHONPATH=integration {{python}} -m stopping.make_curves {{names}}

# Crashes, full and failing disks, for longer than `just test` does (docs/crash-safety.md)
crash seeds="200" kills="100":
    cargo build --release --locked --bins
    METAOPT_CRASH_SEEDS={{seeds}} cargo test --release --locked -p metaopt-daemon --lib store::tests::crash -- --nocapture
    cargo test --release --locked -p metaopt-daemon --lib driver::tests
    METAOPT_CRASH_KILLS={{kills}} cargo test --release --locked -p metaopt-integration --test crash --test full_disk -- --nocapture

# Hours of mixed load in a few minutes, with restarts; fails where memory, open files or what is stored grows (docs/testing.md)
soak minutes="6" seed="1":
    cargo build --release --locked --bins
    {{python}} integration/soak.py target/release --minutes {{minutes}} --seed {{seed}}

# Searches one target, or `all`, for inputs that break it, and goes on from what earlier runs found (docs/testing.md)
fuzz target seconds="600":
    python3 integration/fuzz/run.py {{ if target == "all" { "" } else { target } }} --seconds {{seconds}}

# What CI does: every target for ten seconds, from the committed inputs and always with the same mutations
fuzz-short:
    python3 integration/fuzz/run.py --seconds 10 --seed 1
