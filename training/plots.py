"""The four pictures that go to MLflow with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair

ACCENT, QUIET = "#1f6feb", "#8c959f"


def write(evaluation: dict[str, Any], importance: list[dict[str, Any]], folder: Path) -> list[str]:
    """calibration.png, precision_recall.png, importance.png and, where there is an uplift, qini.png in `folder`; gives their names."""
    folder.mkdir(parents=True, exist_ok=True)
    base_rate = evaluation["overall"]["base_rate"]
    charts = {
        "calibration": _calibration(evaluation["curves"]["calibration"]),
        "precision_recall": _precision_recall(evaluation["curves"]["precision_recall"], base_rate),
        "importance": _importance(importance[:20]),
    }
    if "not_applicable" not in evaluation["uplift"]:
        charts["qini"] = _qini(evaluation["uplift"])
    for name, chart in charts.items():
        chart.save(str(folder / f"{name}.png"), scale_factor=2)
    return sorted(f"{name}.png" for name in charts)


def _chart(rows: list[dict[str, Any]]) -> altair.Chart:
    return altair.Chart(altair.Data(values=rows))


def _calibration(table: list[dict[str, Any]]) -> altair.LayerChart:
    rows = [
        {
            **row,
            "low": max(row["observed"] - 1.645 * row["standard_error"], 0),
            "high": row["observed"] + 1.645 * row["standard_error"],
        }
        for row in table
    ]
    most = max(max(row["high"], row["mean_predicted"]) for row in rows) * 1.05
    scale = altair.Scale(domain=[0, most])
    x = altair.X("mean_predicted:Q", title="predicted probability of the outcome", scale=scale)
    diagonal = (
        _chart([{"p": 0}, {"p": most}])
        .mark_line(strokeDash=[4, 4], color=QUIET)
        .encode(x=altair.X("p:Q", scale=scale), y="p:Q")
    )
    whiskers = _chart(rows).mark_rule(color=ACCENT).encode(x=x, y=altair.Y("low:Q", scale=scale), y2="high:Q")
    points = (
        _chart(rows)
        .mark_point(color=ACCENT, filled=True, size=60)
        .encode(x=x, y=altair.Y("observed:Q", title="observed share"))
    )
    return (diagonal + whiskers + points).properties(
        title="Calibration by tenths of the test examples, with 90 % intervals", width=420, height=320
    )


def _precision_recall(rows: list[dict[str, float]], base_rate: float) -> altair.LayerChart:
    line = _chart(rows).mark_line(color=ACCENT).encode(x=altair.X("recall:Q"), y=altair.Y("precision:Q"))
    rule = _chart([{"base": base_rate}]).mark_rule(strokeDash=[4, 4], color=QUIET).encode(y="base:Q")
    return (line + rule).properties(title=f"Precision and recall; dashed: base rate {base_rate:.1%}", width=420, height=320)


def _qini(uplift: dict[str, Any]) -> altair.LayerChart:
    rows = [{"share": 0, "gain": 0, "random": 0}, *uplift["curve"]]
    x = altair.X("share:Q", title="share of examples, largest predicted effect first", axis=altair.Axis(format="%"))
    line = _chart(rows).mark_line(color=ACCENT).encode(x=x, y=altair.Y("gain:Q", title="more outcomes per example offered"))
    random_order = _chart(rows).mark_line(strokeDash=[4, 4], color=QUIET).encode(x=x, y="random:Q")
    qini = uplift["qini"]
    title = f"Qini {qini['value']:.4f} (90 % {qini['lower']:.4f} to {qini['upper']:.4f}); dashed: a random order"
    return (line + random_order).properties(title=title, width=420, height=320)


def _importance(rows: list[dict[str, Any]]) -> altair.Chart:
    return (
        _chart(rows)
        .mark_bar(color=ACCENT)
        .encode(
            x=altair.X("share_of_gain:Q", title="share of gain", axis=altair.Axis(format="%")),
            y=altair.Y("feature:N", sort=None, title=None),
        )
        .properties(title="What the model looks at: 20 features with the largest gain", width=420)
    )
