"""Rows of figures as a table and as JSON."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.plan import Plan, ratio

TARGETS_NOTE = "Targets are for two quiet cores; the ratios are medians of windows taken next to each other."


@dataclass(frozen=True)
class Row:
    """One figure: what was measured in each window, and the anchor in the window beside it."""

    figure: str
    unit: str
    ours: Sequence[float]
    anchor: Sequence[float] = ()
    anchor_name: str = ""
    target: str = ""
    meets: Callable[[float, float], bool] | None = None
    """Given the median and the ratio, whether the target is met."""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Ours, the middle window."""
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float | None:
        """Ours to the anchor, window by window."""
        return ratio(self.ours, self.anchor) if any(self.anchor) else None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.meets is None else self.meets(self.median, self.ratio or 0.0)


def document(described: dict[str, Any], plan: Plan, rows: Sequence[Row], failed: Mapping[str, str]) -> dict[str, Any]:
    """Everything that was measured, and the parts that could not be."""
    return {
        "failed": dict(failed),
        "machine": described,
        "plan": dataclasses.asdict(plan),
        "figures": [
            {
                "figure": row.figure,
                "unit": row.unit,
                "median": row.median,
                "windows": list(row.ours),
                "anchor": row.anchor_name,
                "anchor_median": statistics.median(row.anchor) if row.anchor else None,
                "anchor_windows": list(row.anchor),
                "ratio": row.ratio,
                "target": row.target,
                "met": row.is_met,
                **row.notes,
            }
            for row in rows
        ],
    }


def table(described: dict[str, Any], plan: Plan, rows: Sequence[Row], failed: Mapping[str, str]) -> str:
    """The figures as a Markdown table with the machine above it; parts that failed are named below it."""
    head = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in described.items())
    cells = [["figure", "here", "anchor", "ratio", "target", "met"]]
    for row in rows:
        beside = f"{_number(statistics.median(row.anchor))} {row.anchor_name}" if row.anchor else ""
        share = "" if row.ratio is None else f"{row.ratio:.2f}"
        met = {None: "", True: "yes", False: "no"}[row.is_met]
        cells.append([row.figure, f"{_number(row.median)} {row.unit}", beside, share, row.target, met])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    broken = [f"FAILED {name}: {reason.splitlines()[-1]}" for name, reason in failed.items()]
    return (
        f"{head}\nwindows: {plan.windows} of {plan.seconds:g} s\n\n"
        + "\n".join([*lines, *broken])
        + f"\n\n{TARGETS_NOTE}"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
