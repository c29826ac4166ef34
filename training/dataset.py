"""Training examples as arrays, checked: nothing forbidden, nothing that has seen the future, nothing LightGBM dies on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from candor.errors import CandorError, UsageError
from candor.scoring.artifact import Feature, check_columns
from candor.warehouse import utc
from training.config import Registry, config, registry
from training.ranking import auc

if TYPE_CHECKING:
    import duckdb

TABLE = "features.training_examples"
NOT_AN_INPUT = ("assigned_at", "label_known_at")  # read as microseconds beside the features


class DatasetError(CandorError):
    """The examples may not, or cannot, be learnt from."""


@dataclass(frozen=True)
class Examples:
    """Labelled examples in the order of (assigned_at, assignment_id)."""

    inputs: pa.Table  # the features, all double, in the registry's order
    features: tuple[Feature, ...]
    label: np.ndarray  # 0 or 1
    exposed: np.ndarray  # bool
    weight: np.ndarray
    person: np.ndarray  # the same small integer for the same person
    assigned_at: np.ndarray  # microseconds since 1970
    label_known_at: np.ndarray
    segments: dict[str, np.ndarray]  # risk_profile, lifecycle_stage, channel: strings
    data_version: str
    needs_offer: np.ndarray  # bool: the outcome cannot happen without the offer

    def __len__(self) -> int:
        return len(self.label)

    def take(self, where: np.ndarray) -> Examples:
        """The examples at the given places."""
        return Examples(
            self.inputs.take(pa.array(where)),
            self.features,
            self.label[where],
            self.exposed[where],
            self.weight[where],
            self.person[where],
            self.assigned_at[where],
            self.label_known_at[where],
            {name: values[where] for name, values in self.segments.items()},
            self.data_version,
            self.needs_offer[where],
        )

    @property
    def all_need_offer(self) -> bool:
        """Whether no outcome could have happened without its offer: there is then no second arm to learn or to measure."""
        return bool(self.needs_offer.all())


def load(
    connection: duckdb.DuckDBPyConnection,
    as_of: datetime,
    *,
    columns: list[str] | None = None,
    features: tuple[Feature, ...] | None = None,
) -> Examples:
    """The labelled examples known at `as_of`, without those held out from an offer that the outcome needs: they can tell nothing.

    `columns` are the features wanted; the default is every allowed one. `features`, those of a model that exists, are encoded as it
    encodes them. Raises DatasetError naming every column that the registry does not allow or that the table does not have.
    """
    if features is None:
        features = input_features(connection, columns)
    else:
        rules, known = registry(), _table_columns(connection)
        _refuse_unregistered(known, rules)
        _refuse_not_allowed([feature.name for feature in features], rules)
        _refuse_absent([feature.name for feature in features], known)

    segments = _segments_sql(connection)
    inputs = ",\n    ".join(feature.sql("examples") for feature in features)
    table = connection.execute(
        f"""
select
    {inputs},
    examples.label::bigint as _label, examples.is_exposed as _exposed, examples.weight::double as _weight,
    examples.outcome_needs_offer as _needs_offer,
    dense_rank() over (order by examples.person_id) as _person,
    epoch_us(examples.assigned_at) as _assigned_at, epoch_us(examples.label_known_at) as _label_known_at,
    {segments[0]} as _risk_profile, examples.activity_stage as _lifecycle_stage, examples.channel as _channel
from {TABLE} as examples
{segments[1]}
where examples.label is not null and examples.label_known_at <= ? and (examples.is_exposed or not examples.outcome_needs_offer)
order by examples.assigned_at, examples.assignment_id
""",
        [utc(as_of)],
    ).to_arrow_table()
    chosen = table.select([feature.name for feature in features])
    check_columns(chosen.schema, [feature.name for feature in features])
    return Examples(
        inputs=chosen.combine_chunks(),
        features=features,
        label=_numpy(table, "_label"),
        exposed=_numpy(table, "_exposed").astype(bool),
        weight=_numpy(table, "_weight"),
        person=_numpy(table, "_person"),
        assigned_at=_numpy(table, "_assigned_at"),
        label_known_at=_numpy(table, "_label_known_at"),
        segments={
            name: np.array(table.column(f"_{name}").to_pylist(), dtype=object)
            for name in ("risk_profile", "lifecycle_stage", "channel")
        },
        data_version=data_version(connection),
        needs_offer=_numpy(table, "_needs_offer").astype(bool),
    )


def input_features(connection: duckdb.DuckDBPyConnection, columns: list[str] | None = None) -> tuple[Feature, ...]:
    """The features of the examples table and how each becomes a number: `columns`, or every allowed one. Raises DatasetError as `load`."""
    rules, known = registry(), _table_columns(connection)
    _refuse_unregistered(known, rules)
    wanted = columns if columns is not None else [column.name for column in rules.allowed]
    _refuse_not_allowed(wanted, rules)
    _refuse_absent(wanted, known)
    if columns is None and _lines_are_offers(connection):
        wanted = [name for name in wanted if name != "product_line"]
    return tuple(_feature(connection, rules, name, known) for name in wanted)


def _lines_are_offers(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether each product line is one offer's alone, made for an outcome that needs it.

    Such a name tells past offers apart and says nothing of the next one, whose name no training has seen.
    """
    row = connection.execute(
        f"""
select count(distinct product_line), count(distinct offer_id), count(distinct (product_line, offer_id)), bool_and(outcome_needs_offer)
from {TABLE}
"""
    ).fetchone()
    return row is not None and bool(row[3]) and row[0] == row[1] == row[2]


def _numpy(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).to_numpy()


def data_version(connection: duckdb.DuckDBPyConnection) -> str:
    """The hash of everything in the examples table: the same rows and columns give the same version, in any order of rows."""
    names = ", ".join(f'"{name}"' for name in sorted(_table_columns(connection)))
    row = connection.execute(
        f"""
select md5(count(*)::varchar || coalesce(string_agg(row_hash, '' order by row_hash), ''))
from (select md5(row({names})::varchar) as row_hash from {TABLE})
"""
    ).fetchone()
    return str(row[0]) if row else ""


def refuse_leaks(examples: Examples, limit: float) -> None:
    """Raise DatasetError when one column alone ranks the outcomes better than honest behaviour can."""
    leaky = []
    for name in examples.inputs.column_names:
        values = examples.inputs.column(name).to_numpy()
        # a missing value may be the leak itself, so it counts as the smallest
        filled = np.where(np.isnan(values), np.nanmin(values, initial=0.0) - 1.0, values)
        strength = auc(examples.label, filled)
        if strength is not None and max(strength, 1 - strength) > limit:
            leaky.append(f"{name} (AUC {max(strength, 1 - strength):.3f})")
    if leaky:
        raise DatasetError(
            f"columns that know the outcome: {', '.join(leaky)}; the limit is {limit}",
            hint="such a column was written after the decision; see its point-in-time condition in dbt_project/macros/features.sql",
        )


def split(examples: Examples) -> dict[str, np.ndarray]:
    """Places of the train, calibrate and test examples, by time.

    An example is in an earlier part only if its label was known when the next part begins; those between belong to no part.
    Raises DatasetError when a part has too few.
    """
    shares, least = config()["split"], config()["minimum"]
    n = len(examples)
    if n == 0:
        raise DatasetError(
            "cannot train: 0 examples with a known label",
            hint="labels need decisions whose outcome window has closed, and trades and ledger entries delivered whole up to its end",
        )
    # Shares of examples and not of days: where a thousand offers begin on one day and stay open for weeks, a part of so many days may
    # hold next to nothing, or lose its largest campaign to the gap. Offers of one instant are never parted.
    at, known = examples.assigned_at, examples.label_known_at
    test_from = at[n - 1 - int(n * shares["test_share"])]
    before = at[known <= test_from]
    # Where most offers are of the last days, what is known by then can be less than that share: half of it is left to learn from.
    calibrate_from = before[-max(min(int(n * shares["calibrate_share"]), len(before) // 2), 1)] if len(before) else at[0]
    parts = {
        "train": np.flatnonzero((at < calibrate_from) & (known <= calibrate_from)),
        "calibrate": np.flatnonzero((at >= calibrate_from) & (at < test_from) & (known <= test_from)),
        "test": np.flatnonzero(at >= test_from),
    }
    problems = []
    for name, where in parts.items():
        wanted = least["train_examples"] if name == "train" else least["part_examples"]
        outcomes = int(examples.label[where].sum())
        arms = {bool(value) for value in np.unique(examples.exposed[where])}
        if len(where) < wanted:
            problems.append(f"{name} has {len(where)} examples, needs {wanted}")
        elif outcomes < least["outcomes"]:
            problems.append(f"{name} has {outcomes} outcomes, needs {least['outcomes']}")
        elif arms != {True, False} and not examples.all_need_offer:
            problems.append(f"{name} has only {'shown' if True in arms else 'held out'} examples: no effect can be learnt")
    if problems:
        raise DatasetError(
            f"cannot train: {n} examples ({int(examples.label.sum())} outcomes); " + "; ".join(problems),
            hint="more people or more days of offers are needed; thresholds are in training/config.yml under `minimum`",
        )
    return parts


def _table_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    found = connection.execute(
        "select column_name, data_type from information_schema.columns where table_catalog = current_database() "
        "and table_schema = 'features' and table_name = 'training_examples' order by ordinal_position"
    ).fetchall()
    if not found:
        raise UsageError(f"{TABLE} does not exist", hint="candor train builds it; or candor run --until features")
    return dict(found)


def _refuse_unregistered(known: dict[str, Any], rules: Registry) -> None:
    # A column nobody meant as a feature is refused too: somebody would use it next week.
    bookkeeping = {name for name, column in rules.columns.items() if column.status == "bookkeeping"}
    refused = [why for name in known if name not in bookkeeping and (why := rules.why_refused(name))]
    if refused:
        raise DatasetError(
            f"{TABLE} holds columns that no model may read: {'; '.join(refused)}",
            hint="remove them from dbt_project/macros/features.sql, or register them in training/features.yml with their purpose",
        )


def _refuse_not_allowed(wanted: list[str], rules: Registry) -> None:
    refused = [why for name in wanted if (why := rules.why_refused(name))]
    if refused:
        raise DatasetError(
            f"not allowed as features: {'; '.join(refused)}", hint="training/features.yml says what is allowed, and why"
        )


def _refuse_absent(wanted: list[str], known: dict[str, str]) -> None:
    absent = [name for name in wanted if name not in known]
    if absent:
        raise DatasetError(
            f"{TABLE} lacks {', '.join(absent)}", hint="the registry and dbt_project/macros/features.sql must agree"
        )


def _feature(connection: duckdb.DuckDBPyConnection, rules: Registry, name: str, known: dict[str, str]) -> Feature:
    column = rules.columns[name]
    is_text = known[name].startswith("VARCHAR")
    if is_text != (column.kind == "category"):
        raise DatasetError(
            f"{name} is {known[name]} in {TABLE} and {column.kind!r} in the registry", hint="correct training/features.yml"
        )
    categories: tuple[str, ...] = ()
    if is_text:
        found = connection.execute(f'select distinct "{name}" from {TABLE} where "{name}" is not null order by 1').fetchall()
        categories = tuple(row[0] for row in found)
    return Feature(name, str(column.source), column.kind, column.absent, categories)


def _segments_sql(connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """How an example gets its risk profile: from eligibility.person_segments, where that is built."""
    exists = connection.execute(
        "select 1 from information_schema.tables where table_catalog = current_database() "
        "and table_schema = 'eligibility' and table_name = 'person_segments'"
    ).fetchone()
    if exists is None:
        return "'not_built'", ""
    return (
        "coalesce(segments.risk_profile, 'unknown')",
        "left join eligibility.person_segments as segments on examples.person_id = segments.person_id",
    )
