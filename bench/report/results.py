"""Figures, and their comparison with limits and targets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One sample for each repetition, or the reason for their absence."""

    samples: tuple[float, ...] = ()
    missing: str = ""

    @property
    def median(self) -> float | None:
        """The reported value; None if it was not measured."""
        return median(self.samples) if self.samples else None


NOTHING = Figure()

By = Literal["ratio", "difference", "value"]


def figures(samples: Mapping[str, tuple[float, ...]], reasons: Mapping[str, str]) -> Callable[[str], Figure]:
    """Return a function from names to figures, given the samples and the reasons for missing ones."""
    return lambda name: Figure(samples=samples.get(name, ()), missing=reasons.get(name, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound for the compared value."""

    at: Literal["least", "most"]
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `compared` is ours / limit (ratio), ours - limit (difference) or ours (value).

    `taken` is the day of an earlier run, if the row comes from one.
    """

    key: str
    title: str
    unit: str
    ours: Figure
    limit: Figure
    limit_title: str
    etcd: Figure
    etcd_title: str
    by: By
    target: Target | None
    compared: float | None
    met: bool | None
    taken: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line of the plot: medians by the number of watchers."""

    panel: Literal["latency", "memory"]
    title: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One run."""

    taken: str
    repetitions: int
    quick: bool
    machine: dict[str, str]
    rows: tuple[Row, ...]
    # Groups without rows, each with its error.
    failed: tuple[str, ...]
    curves: tuple[Curve, ...]


def row(
    key: str,
    title: str,
    unit: str,
    ours: Figure,
    *,
    limit: tuple[str, Figure] = ("", NOTHING),
    etcd: tuple[str, Figure] = ("", NOTHING),
    by: By = "ratio",
    target: Target | None = None,
) -> Row:
    """Return a line with its verdict."""
    compared = _compared(ours, limit[1], by)
    return Row(
        key=key,
        title=title,
        unit=unit,
        ours=ours,
        limit=limit[1],
        limit_title=limit[0],
        etcd=etcd[1],
        etcd_title=etcd[0],
        by=by,
        target=target,
        compared=compared,
        met=None if compared is None or target is None else _met(compared, target),
    )


def _compared(ours: Figure, limit: Figure, by: By) -> float | None:
    if by == "value":
        return ours.median
    # Both samples of a repetition were taken one after the other, so a slow period of the machine affects both.
    differences = [first - second for first, second in zip(ours.samples, limit.samples, strict=False)]
    compared = differences if by == "difference" else ratios(ours, limit)
    return median(compared) if compared else None


def ratios(ours: Figure, limit: Figure) -> list[float]:
    """Return ours / limit for each repetition, without those whose limit is zero."""
    return [first / second for first, second in zip(ours.samples, limit.samples, strict=False) if second]


def _met(compared: float, target: Target) -> bool:
    return compared >= target.bound if target.at == "least" else compared <= target.bound


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def completed(new: Results, earlier: Results) -> Results:
    """Return the new results with the earlier rows that were not measured again; never mix a quick run with another."""
    if new.quick != earlier.quick:
        return new
    kept = {row.key: replace(row, taken=_other_day(row.taken or earlier.taken, new.taken)) for row in earlier.rows}
    rows = kept | {row.key: row for row in new.rows}
    return replace(new, rows=tuple(rows.values()), curves=new.curves or earlier.curves)


def _other_day(taken: str, now: str) -> str:
    """Return the day of a time if it is another one than that of now; otherwise empty."""
    day = taken[:10]
    return "" if day == now[:10] else day


_results = TypeAdapter(Results)


def save(results: Results, path: Path) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_results.dump_json(results, indent=2) + b"\n")


def load(path: Path) -> Results:
    """Read the results from the file of `save`."""
    return _results.validate_json(path.read_bytes())
