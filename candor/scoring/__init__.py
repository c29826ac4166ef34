"""What the champion says about every candidate: the probability of the outcome with the offer shown and with it held out.

Scoring knows no rule: whoever is in `eligibility.candidates` is scored, nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs, warehouse
from candor import settings as settings_module
from candor.errors import CandorError, NoChampion, UsageError
from candor.scoring import registry
from candor.scoring.artifact import ArtifactError, Model

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

    from candor.settings import Settings

__all__ = ["candidates_sql", "champion", "choose_champion", "run"]

BATCH_ROWS = 200_000  # 50 features: about 80 MB of doubles at a time, whatever the number of candidates
RELATIONS = {
    "person": "features.person_features",
    "line": "features.person_line_features",
    "offer": "staging.stg_catalogue__offers",
    "opportunity": "eligibility.candidates",
}


def choose_champion(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """The model that the run of `as_of` uses, pinned to the run: {champion_version, train_as_of, version}.

    It is the last one promoted from a training strictly earlier than `as_of`; a rerun keeps the one it was pinned to.
    Raises NoChampion when there is none.
    """
    settings = settings or settings_module.load()
    with warehouse.connect(settings) as connection:
        pinned = runs.current(connection, as_of).champion_version
    known = registry.versions(registry.client(settings))
    if pinned is not None:
        champion = _registered(known, pinned)
    else:
        found = registry.champion_before(known, as_of)
        if found is None:
            candidates = sum(version.train_as_of < as_of for version in known)
            raise NoChampion(
                f"no model promoted from a training before {registry.instant_text(as_of)} ({candidates} trained, none promoted)",
                hint="candor train makes and promotes one for the following days; nothing is published today",
            )
        champion = found
        with warehouse.connect(settings) as connection:
            runs.set_champion(connection, as_of, champion.model_version)
    return {
        "champion_version": champion.model_version,
        "train_as_of": registry.instant_text(champion.train_as_of),
        "version": champion.number,
    }


@contextmanager
def champion(settings: Settings, run: runs.Run) -> Iterator[Model]:
    """The model that the run is pinned to. Raises NoChampion when it has none yet."""
    if run.champion_version is None:
        raise NoChampion(
            f"the run of {registry.instant_text(run.as_of)} has no champion yet",
            hint="candor champion chooses one before scoring",
        )
    mlflow_client = registry.client(settings)
    version = _registered(registry.versions(mlflow_client), run.champion_version)
    with registry.fetched(mlflow_client, version) as model:
        yield model


def _registered(known: list[registry.Registered], model_version: str) -> registry.Registered:
    """The registered version with that hash; of several, the first, which has the same bytes."""
    for version in known:
        if version.model_version == model_version:
            return version
    raise CandorError(
        f"the run is pinned to model {model_version[:12]}, which the registry does not have",
        hint="restore MLflow's store; another model would not give this run's offers again",
    )


def run(as_of: datetime, settings: Settings | None = None, *, batch_rows: int = BATCH_ROWS) -> dict[str, Any]:
    """`decisions.scores` replaced by one row per candidate of `as_of`; gives names and counts.

    Candidates stream through in batches, so memory does not grow with them. Raises NoChampion when the run has none yet,
    ArtifactError when the model's files were changed or a column it needs is missing.
    """
    settings = settings or settings_module.load()
    with warehouse.connect(settings) as connection:
        current = runs.current(connection, as_of)
    with champion(settings, current) as model, warehouse.connect(settings) as connection:
        candidates, batches = score_candidates(connection, model, batch_rows=batch_rows)
    return {"model_version": model.version, "learner": model.learner, "candidates_scored": candidates, "batches": batches}


def score_candidates(connection: duckdb.DuckDBPyConnection, model: Model, *, batch_rows: int) -> tuple[int, int]:
    """Write decisions.scores, whole or not at all; gives the number of rows and of batches."""
    query = candidates_sql(connection, model)
    columns = (
        "person_id varchar not null, offer_id varchar not null, offer_version bigint not null, channel varchar not null, "
        "p_if_shown double not null, p_if_held_out double not null, model_version varchar not null, gain double not null"
    )
    reader = connection.cursor()
    rows = batches = 0
    # Outside of a transaction: one would keep every batch in memory until it ends, for the name that the batch was registered under.
    connection.execute(f"create or replace temporary table arriving_scores ({columns})")
    try:
        for batch in reader.execute(query).to_arrow_reader(batch_rows):
            if batch.num_rows == 0:
                continue
            connection.register("scored_batch", score_batch(batch, model))
            connection.execute("insert into arriving_scores select * from scored_batch")
            connection.unregister("scored_batch")
            rows += batch.num_rows
            batches += 1
    finally:
        reader.close()
    connection.execute("begin")
    try:
        expected = connection.execute("select count(*) from eligibility.candidates").fetchone()
        if expected is None or rows != expected[0]:
            raise CandorError(
                f"{rows} rows were scored for {expected and expected[0]} candidates",
                hint="eligibility.candidates has a person without features or an offer the catalogue does not know, or keys repeat",
            )
        # Seven narrow columns are sorted here rather than fifty on the way: the stream's own order is not promised.
        connection.execute("create schema if not exists decisions")
        connection.execute(f"create or replace table decisions.scores ({columns})")
        connection.execute(f"insert into decisions.scores select * from arriving_scores order by {', '.join(KEYS)}")
        connection.execute("drop table arriving_scores")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return rows, batches


KEYS = ("person_id", "offer_id", "offer_version", "channel")


def candidates_sql(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    *,
    candidates: str = "eligibility.candidates",
    beside: tuple[str, ...] = (),
) -> str:
    """The query that gives each candidate's keys (as key_…) and then the model's features as doubles, in the model's order.

    `candidates`: a relation or a query in brackets with the rows meant; what it has `beside` their columns comes right after the keys.
    Raises ArtifactError naming every feature that its table does not have.
    """
    missing = []
    for feature in model.features:
        relation = RELATIONS[feature.source]
        if feature.name not in _columns(connection, relation):
            missing.append(f"{relation}.{feature.name}")
    if missing:
        raise ArtifactError(
            f"model {model.version[:12]} needs columns that do not exist: {', '.join(missing)}",
            hint="the features changed since it was trained: train and promote a model on them, yesterday's offers stay live",
        )
    alias = {"person": "person_features", "line": "line_features", "offer": "offers", "opportunity": "candidates"}
    selected = ",\n    ".join(
        [*(f"candidates.{name}" for name in beside), *(feature.sql(alias[feature.source]) for feature in model.features)]
    )
    return f"""
select
    candidates.person_id as key_person_id, candidates.offer_id as key_offer_id,
    candidates.offer_version::bigint as key_offer_version, candidates.channel as key_channel,
    coalesce(product_lines.outcome_needs_offer, false) as needs_offer,
    {selected}
from {candidates} as candidates
inner join features.person_features as person_features on candidates.person_id = person_features.person_id
inner join staging.stg_catalogue__offers as offers
    on candidates.offer_id = offers.offer_id and candidates.offer_version = offers.version
left join policy.product_lines as product_lines on candidates.product_line = product_lines.product_line
left join features.person_line_features as line_features
    on candidates.person_id = line_features.person_id and candidates.product_line = line_features.product_line
"""


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> set[str]:
    schema, _, table = relation.partition(".")
    found = connection.execute(
        "select column_name from information_schema.columns where table_catalog = current_database() "
        "and table_schema = ? and table_name = ?",
        [schema, table],
    ).fetchall()
    if not found:
        raise UsageError(f"{relation} does not exist", hint="candor run --as-of … builds features and candidates first")
    return {row[0] for row in found}


def score_batch(batch: pa.RecordBatch, model: Model) -> pa.Table:
    """The batch's keys with both probabilities, rounded to 6 decimals so that the same input gives the same bytes, and their difference as it was.

    Where the outcome needs the offer, holding it out gives 0 by definition, whatever the model says. Raises ArtifactError when the
    model knows nothing but such outcomes and the batch holds others.
    """
    import numpy as np
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    needs_offer = table.column("needs_offer").to_numpy()
    if model.learner == "shown" and not needs_offer.all():
        raise ArtifactError(
            f"model {model.version[:12]} was trained on outcomes that need the offer, and {int((~needs_offer).sum())} candidates of a "
            "batch are for others",
            hint="outcome_needs_offer changed in policy/shops: train and promote a model on the present policy",
        )
    predicted = model.predict(table.select(range(len(KEYS) + 1, table.num_columns)))
    columns = {name: table.column(f"key_{name}") for name in KEYS}
    columns["p_if_shown"] = pa.array(np.round(predicted["shown"], 6))
    columns["p_if_held_out"] = pa.array(np.where(needs_offer, 0.0, np.round(predicted["held_out"], 6)))
    columns["model_version"] = pa.array(np.full(table.num_rows, model.version))
    columns["gain"] = pa.array(gain(predicted, needs_offer))
    return pa.table(columns)


def gain(predicted: dict[str, np.ndarray], needs_offer: np.ndarray) -> np.ndarray:
    """How much likelier the outcome is with the offer shown than held out: what arbitration ranks by."""
    import numpy as np

    return predicted["shown"] - np.where(needs_offer, 0.0, predicted["held_out"])
