"""Rows of the one table that everything ends in: a figure, how it spread, its aim, and whether it was met."""

from __future__ import annotations

import statistics
from typing import List, NamedTuple, Optional, Sequence, Tuple


class Aim(NamedTuple):
    """A bound on the median: at most, or at least."""

    sign: str
    bound: float

    def met(self, value: float) -> bool:
        """Whether `value` keeps it."""
        return value <= self.bound if self.sign == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def at_most(bound: float) -> Aim:
    """An upper bound."""
    return Aim("<=", bound)


def at_least(bound: float) -> Aim:
    """A lower bound."""
    return Aim(">=", bound)


class Row(NamedTuple):
    """A figure as measured, over repetitions."""

    name: str
    unit: str
    seen: Tuple[float, ...]
    aim: Optional[Aim] = None

    @property
    def median(self) -> float:
        """The middle of what was seen."""
        return statistics.median(self.seen)


def row(name: str, unit: str, seen: Sequence[float], aim: Optional[Aim] = None) -> Row:
    """A row of one or more measurements."""
    return Row(name, unit, tuple(seen), aim)


def ratio(name: str, over: Sequence[float], under: Sequence[float], aim: Optional[Aim] = None) -> Row:
    """Repetition by repetition, since each pair ran one right after the other on the same machine."""
    return Row(name, "x", tuple(a / b for a, b in zip(over, under)), aim)


def number(value: float) -> str:
    """Three digits that say something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


HEAD = f"{'figure':64} {'unit':12} {'median':>9} {'min':>9} {'max':>9}  {'aim':>9}  "


def line(row: Row) -> str:
    """A row as printed."""
    aim = "" if row.aim is None else str(row.aim)
    mark = "" if row.aim is None else "pass" if row.aim.met(row.median) else "MISS"
    cells = [number(value) for value in (row.median, min(row.seen), max(row.seen))]
    return f"{row.name:64} {row.unit:12} {cells[0]:>9} {cells[1]:>9} {cells[2]:>9}  {aim:>9}  {mark}".rstrip()


def verdict(rows: Sequence[Row]) -> str:
    """The last line."""
    missed: List[str] = [row.name for row in rows if row.aim is not None and not row.aim.met(row.median)]
    aims = sum(row.aim is not None for row in rows)
    return f"{aims - len(missed)} of {aims} aims met" + (f"; missed: {'; '.join(missed)}" if missed else "")
