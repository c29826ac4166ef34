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
from candor.identity.resolution.learning import Weights

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt

    from candor.identity.resolution.evidence import Pairs

FORMAT = 1


def settings(columns: Sequence[Column], weights: Weights) -> dict[str, Any]:
    """Splink settings holding the learned m, u and prior; any Splink 5 reads them."""
    made = comparisons.settings(columns, weights.prior)
    for number, comparison in enumerate(made["comparisons"]):
        for at, level in enumerate(comparison["comparison_levels"][1:]):
            level["m_probability"] = float(weights.m[number][at])
            level["u_probability"] = float(weights.u[number][at])
    return made


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
        made = [comparison["comparison_levels"][1:] for comparison in content["splink"]["comparisons"]]
        m = [np.array([float(level["m_probability"]) for level in one]) for one in made]
        u = [np.array([float(level["u_probability"]) for level in one]) for one in made]
        if [len(one) for one in m] != [len(comparisons.levels(column)) for column in columns]:
            raise ValueError("other levels than this version compares")
        return columns, Weights(m, u, float(content["splink"]["probability_two_random_records_match"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} is not a model of this command: {error}",
            hint="name a file that does not exist yet and a new model is learned and saved there",
        ) from error
