"""Rows of the one table that everything ends in, as text, as Markdown and as JSON lines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

from bench.table import Aim, number
from samplers.stats import Estimate


class Row(NamedTuple):
    """A figure, where it may lie, and what it should be."""

    name: str
    unit: str
    value: float
    aim: Optional[Aim] = None
    low: Optional[float] = None
    high: Optional[float] = None
    #: On what it stands: pairs, seeds, or what else must be known.
    note: str = ""

    def said(self) -> Dict[str, Any]:
        """As a line of JSON; a value that is none is null."""
        said = {key: None if isinstance(x, float) and math.isnan(x) else x for key, x in self._asdict().items()}
        return {**said, "aim": self.aim and str(self.aim), "mark": self.mark()}

    def mark(self) -> str:
        """Whether the aim is met."""
        if self.aim is None:
            return ""
        return "met" if not math.isnan(self.value) and self.aim.met(self.value) else "missed"

    def cells(self) -> List[str]:
        """As printed."""
        between = "" if self.low is None or self.high is None else f"{shown(self.low)} to {shown(self.high)}"
        aim = "" if self.aim is None else str(self.aim)
        return [self.name, self.unit, shown(self.value), between, aim, self.mark(), self.note]


def shown(value: float) -> str:
    """Three digits that say something."""
    return "none" if math.isnan(value) else number(float(value))


def of(name: str, unit: str, seen: Estimate, aim: Optional[Aim] = None, note: str = "") -> Row:
    """A row of an estimate."""
    pairs = (
        f"{seen.problems} problems, {seen.pairs} pairs" if seen.pairs > seen.problems else f"{seen.problems} problems"
    )
    return Row(name, unit, seen.value, aim, seen.low, seen.high, f"{pairs}; {note}" if note else pairs)


NAMES = ["figure", "unit", "value", "95 %", "aim", "", "on"]
WIDTHS = [62, 10, 8, 17, 8, 6, 0]


def line(cells: Sequence[str]) -> str:
    """A line of text."""
    padded = (cell.rjust(w) if i in (2, 3, 4) else cell.ljust(w) for i, (cell, w) in enumerate(zip(cells, WIDTHS)))
    return "  ".join(padded).rstrip()


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Another table as text, each column as wide as it must be."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table for docs/performance.md; the first line is its head."""
    plain = ([cell.replace("<=", "≤").replace(">=", "≥").replace("|", "\\|") for cell in cells] for cells in lines)
    out = ["| " + " | ".join(f"– {c[2:]}" if c.startswith("  ") else c for c in cells) + " |" for cells in plain]
    return "\n".join([out[0], "| " + " | ".join(["---"] * len(lines[0])) + " |", *out[1:]])


def tell(figures: Iterable[Iterable[Row]], tables: Sequence[Sequence[Sequence[str]]], short: bool, out: Path) -> str:
    """Prints figures as they come, then the tables beside them, writes both to `out`, and answers the last line."""
    rows: List[Row] = []
    print(line(NAMES), flush=True)
    for figure in figures:
        for row in figure:
            # Sizes that nobody promised anything about have no aims.
            rows.append(row._replace(aim=None) if short else row)
            print(line(rows[-1].cells()), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.jsonl").write_text("".join(json.dumps(row.said()) + "\n" for row in rows))
    for table in tables:
        print("\n" + columns(table), flush=True)
    everything = [[NAMES, *(row.cells() for row in rows)], *tables]
    (out / "figures.md").write_text("\n\n".join(markdown(table) for table in everything) + "\n")
    return "the harness works; sizes were reduced, so that no aim was judged" if short else verdict(rows)


def verdict(rows: Sequence[Row]) -> str:
    """The last line."""
    missed = [row.name.strip() for row in rows if row.mark() == "missed"]
    aims = sum(row.aim is not None for row in rows)
    return f"{aims - len(missed)} of {aims} aims met" + (f"; missed: {'; '.join(missed)}" if missed else "")
