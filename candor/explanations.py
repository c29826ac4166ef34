"""Why somebody sees what they see: a sentence of what the model went by, said only where it is true and counted.

For each offer that goes out the model is asked again as if the person had not a driver (policy/explanations.yml): what the gain that scoring
found loses is the driver's effect. The strongest permitted drivers are named, in the creative's language. Nothing of compliance is a driver,
so nothing of it can be said; where no driver counted, the creative's own reason stands.
"""

from __future__ import annotations

from datetime import datetime
from itertools import permutations
from typing import TYPE_CHECKING, Any

from candor import runs, scoring
from candor import settings as settings_module
from candor.errors import PolicyError
from candor.warehouse import connect

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

    from candor.policy.drivers import Driver, Explanations
    from candor.scoring.artifact import Model
    from candor.settings import Settings

BATCH_ROWS = 200_000
# Who goes out is found before any feature is read: a quarter of the candidates.
CHOSEN = """(
    select candidates.*, ledger.decision_id, split_part(ledger.locale, '-', 1) as language, scores.gain
    from eligibility.candidates as candidates
    inner join decisions.ledger as ledger
        on candidates.person_id = ledger.person_id and candidates.offer_id = ledger.offer_id
        and candidates.offer_version = ledger.offer_version and candidates.channel = ledger.channel
    inner join decisions.scores as scores
        on scores.person_id = ledger.person_id and scores.offer_id = ledger.offer_id
        and scores.offer_version = ledger.offer_version and scores.channel = ledger.channel
    where ledger.is_chosen and ledger.arm = 'treated'
)"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """An empty decisions.explanations: one row per offer that goes out and has a driver to name."""
    connection.execute("create schema if not exists decisions")
    connection.execute(
        "create or replace table decisions.explanations "
        "(decision_id varchar not null, reason_text varchar not null, drivers varchar[] not null, effects double[] not null)"
    )


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Counts of the offers that go out with a reason of their own and by driver; `decisions.explanations` replaced.

    Raises PolicyError for a driver of a feature that the registry does not allow, or holds to be more sensitive.
    """
    from candor import policy

    settings = settings or settings_module.load()
    with connect(settings) as connection:
        current = runs.current(connection, as_of)
        words = policy.for_run(settings, current).explanations
    _check_registered(words)
    with scoring.champion(settings, current) as model, connect(settings) as connection:
        rows = explain(connection, model, words)
        named = dict(
            connection.execute(
                "select driver, count(*) from (select unnest(drivers) as driver from decisions.explanations) group by all order by all"
            ).fetchall()
        )
        explained = connection.execute("select count(*) from decisions.explanations").fetchall()[0][0]
    return {"offers_explained": explained, "offers_with_the_creatives_reason": rows - explained, "reasons_named": named}


def _check_registered(words: Explanations) -> None:
    from training.config import registry

    known = registry().columns
    for driver in words.drivers:
        for feature, _ in driver.without:
            column = known.get(feature)
            if column is None or column.status != "allowed":
                raise PolicyError(
                    f"explanations.yml names {feature} for driver {driver.name}, which models may not read",
                    hint="training/features.yml says what is allowed",
                )
            if column.sensitivity > driver.sensitivity:
                raise PolicyError(
                    f"driver {driver.name} says sensitivity {driver.sensitivity}, but {feature} has {column.sensitivity}",
                    hint="training/features.yml has the sensitivity of each feature",
                )


def explain(connection: duckdb.DuckDBPyConnection, model: Model, words: Explanations, *, batch_rows: int = BATCH_ROWS) -> int:
    """Rows that go out, after decisions.explanations was filled for those with a driver to name."""
    reader = connection.cursor()
    rows = 0
    # Outside of a transaction: one would keep every batch in memory until it ends, for the name that the batch was registered under.
    connection.execute(
        "create or replace temporary table arriving_explanations (decision_id varchar, reason_text varchar, drivers varchar[], effects double[])"
    )
    try:
        chosen = scoring.candidates_sql(connection, model, candidates=CHOSEN, beside=("decision_id", "language", "gain"))
        for batch in reader.execute(chosen).to_arrow_reader(batch_rows):
            if batch.num_rows == 0:
                continue
            connection.register("told", explained(batch, model, words))
            connection.execute("insert into arriving_explanations select * from told")
            connection.unregister("told")
            rows += batch.num_rows
    finally:
        reader.close()
    connection.execute("begin")
    try:
        prepare(connection)
        connection.execute("insert into decisions.explanations select * from arriving_explanations order by decision_id")
        connection.execute("drop table arriving_explanations")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return rows


def explained(batch: pa.RecordBatch, model: Model, words: Explanations) -> pa.Table:
    """(decision_id, reason_text, drivers, effects) of the rows in which some driver counted enough and may be said."""
    import numpy as np
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    features = table.select(model.names)
    needs_offer = table.column("needs_offer").to_numpy()
    drivers = [driver for driver in words.drivers if {name for name, _ in driver.without} <= set(model.names)]
    effects = np.zeros((table.num_rows, len(drivers)))
    before = table.column("gain").to_numpy()
    for place, driver in enumerate(drivers):
        rows = np.flatnonzero(counts(features, driver, model))
        if rows.size:
            predicted = model.predict(without(features.take(rows), driver))
            effects[rows, place] = before[rows] - scoring.gain(predicted, needs_offer[rows])
    effects = np.where(effects >= words.least_effect, np.round(effects, 6), 0.0)
    reasons = permitted(words, drivers)
    chosen = best(effects, reasons)
    language, languages = np.unique(table.column("language").to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    told = _texts(words, drivers, reasons, language.tolist())
    is_told = np.array([text is not None for text in told], dtype=bool)
    rows = np.flatnonzero(chosen >= 0)
    rows = rows[is_told[languages[rows] * len(reasons) + chosen[rows]]]
    members = np.full((len(reasons), words.most_drivers), -1)
    for place, reason in enumerate(reasons):
        members[place, : len(reason)] = reason
    named = members[chosen[rows]]
    is_named = named >= 0
    offsets = pa.array(np.r_[0, np.cumsum(is_named.sum(axis=1))].astype(np.int32))
    names = pa.array([driver.name for driver in drivers], pa.string())
    return pa.table(
        {
            "decision_id": table.column("decision_id").take(pa.array(rows)),
            "reason_text": pa.array(told, pa.string()).take(pa.array(languages[rows] * len(reasons) + chosen[rows])),
            "drivers": pa.ListArray.from_arrays(offsets, names.take(pa.array(named[is_named]))),
            "effects": pa.ListArray.from_arrays(offsets, pa.array(np.take_along_axis(effects[rows], named, axis=1)[is_named])),
        }
    )


def counts(features: pa.Table, driver: Driver, model: Model) -> np.ndarray:
    """Per row whether the person has the driver and the model could tell if they had not: of anybody else the effect is nought."""
    import numpy as np

    feature, least = driver.needs
    has = np.nan_to_num(features.column(feature).to_numpy(), nan=-np.inf) >= least
    is_told = np.zeros(features.num_rows, dtype=bool)
    for name, value in driver.without:
        is_told |= model.tells_apart(name, features.column(name).to_numpy(), np.nan if value is None else value)
    return has & is_told


def without(features: pa.Table, driver: Driver) -> pa.Table:
    """The rows as they would be for people who have not the driver; what is lower already stays."""
    import numpy as np
    import pyarrow as pa

    for name, value in driver.without:
        place = features.schema.get_field_index(name)
        values = np.full(features.num_rows, np.nan if value is None else value)
        features = features.set_column(
            place, features.schema.field(place), pa.array(values, pa.float64(), from_pandas=value is None)
        )
    return features


def best(effects: np.ndarray, reasons: list[tuple[int, ...]]) -> np.ndarray:
    """Per row the place among `reasons` of the one whose drivers all counted and counted most, named strongest first; -1 for none."""
    import numpy as np

    values = np.zeros((effects.shape[0], len(reasons)))
    for place, reason in enumerate(reasons):
        members = effects[:, list(reason)]
        falls = np.diff(members, axis=1)
        # Of drivers that count the same the first of the file is named first.
        is_ordered = ((falls < 0) | ((falls == 0) & (np.diff(reason) > 0))).all(axis=1)
        values[:, place] = np.where((members > 0).all(axis=1) & is_ordered, members.sum(axis=1), 0.0)
    return np.where(values.max(axis=1, initial=0.0) > 0, values.argmax(axis=1) if reasons else 0, -1)


def permitted(words: Explanations, drivers: list[Driver]) -> list[tuple[int, ...]]:
    """The orders of drivers that one sentence may name: few enough, within the budget, at most one about money."""
    return [
        reason
        for size in range(1, words.most_drivers + 1)
        for reason in permutations(range(len(drivers)), size)
        if sum(drivers[place].sensitivity for place in reason) <= words.budget
        and sum(drivers[place].sensitivity == 2 for place in reason) <= 1
    ]


def _texts(
    words: Explanations, drivers: list[Driver], reasons: list[tuple[int, ...]], languages: list[str]
) -> list[str | None]:
    """The sentence of each language and reason, language by language; None where the policy does not speak the language."""
    spoken = {language: (sentence, joint) for language, sentence, joint in words.sentences}
    told: list[str | None] = []
    for language in languages:
        if language not in spoken:
            told += [None] * len(reasons)
            continue
        sentence, joint = spoken[language]
        clauses = [dict(driver.words)[language] for driver in drivers]
        told += [sentence.replace("{drivers}", joint.join(clauses[place] for place in reason)) for reason in reasons]
    return told
