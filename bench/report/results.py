"""What was measured, and how it stands to its limit and its target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One sample for each repetition, or why there is none."""

    samples: tuple[float, ...] = ()
    missing: str = ""

    @property
    def median(self) -> float | None:
        """The figure that counts; None if it was not measured."""
        return median(self.samples) if self.samples else None


NOTHING = Figure()

By = Literal["ratio", "difference", "value"]


def figures(samples: Mapping[str, tuple[float, ...]], reasons: Mapping[str, str]) -> Callable[[str], Figure]:
    """Figures by name, from what was measured and why the rest was not."""
    return lambda name: Figure(samples=samples.get(name, ()), missing=reasons.get(name, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound for what is compared."""

    at: Literal["least", "most"]
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `compared` is ours / limit (ratio), ours - limit (difference) or ours (value).

    taken says when, if that was in an earlier run.
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
    # Groups of rows that are not there, each with its error.
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
    """A line with its verdict."""
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
    # Both of a repetition were measured one after the other, so what slowed the machine meanwhile slowed both.
    pairs = [pair for pair in zip(ours.samples, limit.samples, strict=False) if by == "difference" or pair[1]]
    if not pairs:
        return None
    return median(first - second if by == "difference" else first / second for first, second in pairs)


def _met(compared: float, target: Target) -> bool:
    return compared >= target.bound if target.at == "least" else compared <= target.bound


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many of a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def completed(new: Results, earlier: Results) -> Results:
    """The new results, and of the earlier ones what was not measured again; a quick run goes with no other."""
    if new.quick != earlier.quick:
        return new
    kept = {row.key: replace(row, taken=row.taken or earlier.taken) for row in earlier.rows}
    rows = kept | {row.key: row for row in new.rows}
    return replace(new, rows=tuple(rows.values()), curves=new.curves or earlier.curves)


_results = TypeAdapter(Results)


def save(results: Results, path: Path) -> None:
    """Writes the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_results.dump_json(results, indent=2) + b"\n")


def load(path: Path) -> Results:
    """Reads what save wrote."""
    return _results.validate_json(path.read_bytes())
