"""The learned model as Splink's own: scores by Splink, saved as Splink's settings."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError
from candor.identity.resolution import comparisons
from candor.identity.resolution.columns import Column
from candor.identity.resolution.learning import AGREES, DIFFERS, UNKNOWN, Dependence, Weights

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt

    from candor.identity.resolution.evidence import Pairs

FORMAT = 1


def settings(columns: Sequence[Column], weights: Weights) -> dict[str, Any]:
    """Splink settings holding the learned m, u and prior; any Splink 5 reads them.

    A column that depends on another has its levels three times: while the other has no value, agrees, differs. Each third sums to 1.
    """
    made = comparisons.settings(columns, weights.prior)
    for number, comparison in enumerate(made["comparisons"]):
        unknown, *plain = comparison["comparison_levels"]
        written = [unknown]
        for state, condition, label in _states(columns, weights.depends[number]):
            for at, level in enumerate(plain):
                one = dict(level)
                one["m_probability"] = float(weights.m[number][state, at])
                one["u_probability"] = float(weights.u[number][state, at])
                if condition:
                    own = "true" if level["sql_condition"] == "else" else level["sql_condition"]
                    one["sql_condition"] = f"({condition}) and ({own})"
                    one["label_for_charts"] = f"{level['label_for_charts']}, {label}"
                if state == AGREES:
                    for key in ("tf_adjustment_column", "tf_adjustment_weight", "disable_tf_exact_match_detection"):
                        one.pop(key, None)
                written.append(one)
        if weights.depends[number]:
            written[-1]["sql_condition"] = "else"
        comparison["comparison_levels"] = written
    return made


def _states(columns: Sequence[Column], dependence: Dependence | None) -> list[tuple[int, str, str]]:
    """(state, SQL condition, label) of each state, in the order in which Splink is to try them."""
    if dependence is None:
        return [(UNKNOWN, "", "")]
    other = columns[dependence.on]
    agree = " or ".join(f"({level.condition})" for level in comparisons.levels(other)[: dependence.agrees])
    return [
        (UNKNOWN, comparisons.missing(other), f"{other.name} unknown"),
        (AGREES, agree, f"{other.name} agrees"),
        (DIFFERS, "true", f"{other.name} differs"),
    ]


def score(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    weights: Weights,
    pairs: Pairs,
    frequency: Sequence[npt.NDArray[np.float64] | None],
) -> npt.NDArray[np.float64]:
    """Splink's match weight (log2 odds) of each pair, rounded to 9 digits, with `frequency` as its term frequencies."""
    import numpy as np
    import pyarrow
    from splink import DuckDBAPI, Linker

    if len(pairs) == 0:
        return np.zeros(0)
    logging.getLogger("splink").setLevel(logging.WARNING)
    api = DuckDBAPI(connection=connection)
    names = ", ".join(f'"{row[0]}"' for row in connection.execute("describe records").fetchall())
    connection.execute(f"create or replace temp table scored_records as select {names} from records order by uid")
    linker = Linker(api.register("scored_records"), settings(columns, weights), log_level=logging.WARNING)
    for column, shares in zip(columns, frequency, strict=True):
        if shares is None:
            continue
        connection.register("shares", pyarrow.table({"uid": np.arange(len(shares)), "share": shares}))
        table = f"frequency_of_{columns.index(column)}"
        connection.execute(f"""
            create or replace temp table {table} as
            select "{column.name}", any_value(share) as "tf_{column.name}" from records inner join shares using (uid)
            where "{column.name}" is not null group by all
        """)
        connection.unregister("shares")
        linker.table_management.register_term_frequency_lookup(api.register(table), column.name)
    connection.register(
        "blocked",
        pyarrow.table({"join_key_l": pairs.left, "join_key_r": pairs.right, "match_key": pyarrow.array(["0"] * len(pairs))}),
    )
    connection.execute("create or replace temp table blocked_pairs as select * from blocked")
    connection.unregister("blocked")
    linker.table_management.register_blocked_pairs_for_predict(api.register("blocked_pairs"))
    predicted = linker.inference.predict(warning_mode="never")
    result = connection.execute(
        f"select round(match_weight, 9) as odds from {predicted.physical_name} order by uid_l, uid_r"
    ).fetchnumpy()
    linker.misc.delete_tables_created_by_splink_from_db() if hasattr(
        linker.misc, "delete_tables_created_by_splink_from_db"
    ) else None
    return np.asarray(result["odds"])


def save(path: Path, columns: Sequence[Column], weights: Weights) -> None:
    """Write columns and Splink settings as JSON: the same parameters, the same bytes."""
    content = {
        "candor_resolution_model": FORMAT,
        "columns": [asdict(column) for column in columns],
        "depends": [None if one is None else asdict(one) for one in weights.depends],
        "splink": settings(columns, weights),
    }
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[list[Column], Weights]:
    """(columns, parameters) of a saved model. Raises UsageError when the file is not one."""
    import numpy as np

    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["candor_resolution_model"] != FORMAT:
            raise ValueError(f"format {content['candor_resolution_model']!r}")
        columns = [Column(**column) for column in content["columns"]]
        depends = [None if one is None else Dependence(**one) for one in content["depends"]]
        m, u = [], []
        for column, dependence, comparison in zip(columns, depends, content["splink"]["comparisons"], strict=True):
            shape = (1 if dependence is None else 3, len(comparisons.levels(column)))
            written = comparison["comparison_levels"][1:]
            m.append(np.array([float(level["m_probability"]) for level in written]).reshape(shape))
            u.append(np.array([float(level["u_probability"]) for level in written]).reshape(shape))
        return columns, Weights(m, u, float(content["splink"]["probability_two_random_records_match"]), depends)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} is not a model of this command: {error}",
            hint="name a file that does not exist yet and a new model is learned and saved there",
        ) from error
