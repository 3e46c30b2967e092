"""`python -m bench PROGRAMS [--short] [FIGURE…]`: measures, and prints one table. See `just bench`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List

from bench import cluster, events, feel, opening, rate, suggest
from bench.table import HEAD, Row, line, verdict

FIGURES: Dict[str, Callable[[Path, bool], Iterator[Row]]] = {
    "feel": feel.measure,
    "rate": rate.measure,
    "events": events.measure,
    "open": opening.measure,
    "suggest": suggest.measure,
    "cluster": cluster.measure,
    "singly": opening.measure_singly,
}
#: `singly` takes minutes and is run when it is named.
USUAL = ["feel", "rate", "events", "open", "suggest", "cluster"]


def main() -> None:
    """Measures what was asked for. A missed aim is no failure; a daemon that answers wrongly is."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("programs", type=Path, help="the folder of the built programs, such as target/release")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; none: all but singly")
    parser.add_argument("--short", action="store_true", help="small sizes, one or two repetitions: checks the harness")
    # Intermixed: figures may stand behind `--short`.
    given = parser.parse_intermixed_args()
    unknown = [name for name in given.figures if name not in FIGURES]
    if unknown:
        parser.error(f"no figure is named {unknown[0]!r}; there are {', '.join(FIGURES)}")
    begin = time.monotonic()
    rows: List[Row] = []
    print(HEAD, flush=True)
    for name in given.figures or USUAL:
        for measured in FIGURES[name](given.programs.resolve(), given.short):
            # Sizes that nobody promised anything about have no aims.
            rows.append(measured._replace(aim=None) if given.short else measured)
            print(line(rows[-1]), flush=True)
    last = "the harness works; sizes were reduced, so that no aim was judged" if given.short else verdict(rows)
    print(f"{last}; took {time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
