"""What is said of why somebody sees an offer: true, counted, within the budget, and nothing of compliance."""

import weakref
from dataclasses import replace
from itertools import pairwise, permutations

import duckdb
import lightgbm
import numpy as np
import pyarrow as pa
import pytest

from candor import explanations, policy, scoring
from candor import settings as settings_module
from candor.errors import PolicyError
from candor.scoring.artifact import Feature, Model
from training.config import registry

NAMES = [
    "line_views_last_7_days", "line_views_last_30_days", "line_ever_used", "line_uses_last_30_days_band", "line_uses_last_90_days_band",
    "days_since_last_line_use", "lessons_started_last_90_days", "lessons_completed_last_90_days", "messages_opened_last_30_days",
    "messages_clicked_last_30_days",
]  # fmt: skip


@pytest.fixture(scope="module")
def words():
    settings = settings_module.load({})
    return policy.load(settings.policy_dir, settings.shop).explanations


def people(seed, count):
    """Features of made-up people, a quarter of them missing or nought."""
    draw = np.random.default_rng(seed)
    columns = {name: draw.poisson(1.5, count).astype(float) for name in NAMES}
    columns["line_ever_used"] = (columns["line_uses_last_90_days_band"] > 0).astype(float)
    columns["days_since_last_line_use"] = np.where(columns["line_ever_used"] > 0, draw.integers(0, 90, count), np.nan)
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


@pytest.fixture(scope="module")
def model():
    """An S-learner that goes by views, use, lessons and opened messages when the offer is shown, and by nothing else without it."""
    features = people(0, 4000)
    draw = np.random.default_rng(1)
    matrix = np.column_stack([features.column(name).to_numpy() for name in NAMES])
    shown = draw.integers(0, 2, len(matrix)).astype(float)
    margin = -2 + shown * (
        0.5 * np.minimum(matrix[:, 1], 3)
        + 0.8 * matrix[:, 2]
        + 0.4 * np.minimum(matrix[:, 6], 2)
        - 0.3 * np.minimum(matrix[:, 8], 2)
    )
    label = (draw.random(len(matrix)) < 1 / (1 + np.exp(-margin))).astype(int)
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_leaves": 15, "deterministic": True, "num_threads": 1, "seed": 3},
        lightgbm.Dataset(np.column_stack([matrix, shown]), label, feature_name=[*NAMES, "is_exposed"]),
        num_boost_round=60,
    )
    plain = {"intercept": 0.0, "slope": 1.0}
    return Model(
        "s",
        tuple(Feature(name, "line", "number") for name in NAMES),
        {"both": booster},
        {"shown": plain, "held_out": plain},
        {},
    )


def batch(seed, model, count=400, languages=("en", "de", "fr")):
    table = people(seed, count)
    needs_offer = np.arange(count) % 5 == 0
    gain = scoring.gain(model.predict(table), needs_offer)
    table = table.append_column("needs_offer", pa.array(needs_offer)).append_column("gain", pa.array(gain))
    table = table.append_column("language", pa.array([languages[place % len(languages)] for place in range(count)]))
    table = table.append_column("decision_id", pa.array([f"d{place:04}" for place in range(count)]))
    return table.combine_chunks().to_batches()[0]


def gain_of(row, needs_offer, model):
    """How much likelier the outcome of one person is with the offer, asked of the model row by row."""
    values = [[np.nan if row[name] is None else row[name] for name in NAMES] + [exposed] for exposed in (1.0, 0.0)]
    shown, held_out = model.boosters["both"].predict(np.array(values))
    return shown - (0.0 if needs_offer else held_out)


def expected(row, needs_offer, language, words, model):
    """The drivers to name and their effects, one person and one driver at a time."""
    if language not in {spoken for spoken, _, _ in words.sentences}:
        return None
    before, effects = gain_of(row, needs_offer, model), {}
    for driver in words.drivers:
        if not {name for name, _ in driver.without} <= set(NAMES):
            continue
        feature, least = driver.needs
        if row[feature] is None or row[feature] < least:
            continue
        effect = before - gain_of({**row, **dict(driver.without)}, needs_offer, model)
        if effect >= words.least_effect:
            effects[driver.name] = round(effect, 6)
    sensitivity = {driver.name: driver.sensitivity for driver in words.drivers}
    best, value = None, 0.0
    for size in range(1, words.most_drivers + 1):
        for named in permutations(effects, size):
            levels = [sensitivity[name] for name in named]
            falling = all(effects[a] >= effects[b] for a, b in pairwise(named))
            if (
                falling
                and sum(levels) <= words.budget
                and levels.count(2) <= 1
                and sum(effects[name] for name in named) > value + 1e-12
            ):
                best, value = named, sum(effects[name] for name in named)
    return None if best is None else (list(best), [effects[name] for name in best])


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_each_reason_is_the_one_that_asking_the_model_person_by_person_gives(seed, words, model):
    given = batch(seed, model)
    told = {row["decision_id"]: row for row in explanations.explained(given, model, words).to_pylist()}
    named = 0
    for row in given.to_pylist():
        wanted = expected(row, row["needs_offer"], row["language"], words, model)
        found = told.get(row["decision_id"])
        assert (wanted is None) == (found is None), row
        if wanted:
            assert found["drivers"] == wanted[0]
            assert found["effects"] == pytest.approx(wanted[1], abs=2e-6)
            named += 1
    assert named > 100
    assert len({tuple(row["drivers"]) for row in told.values()}) > 3


@pytest.mark.parametrize("seed", [21, 22])
def test_taking_a_stated_driver_away_lowers_the_score_and_nobody_is_told_what_they_have_not(seed, words, model):
    given = batch(seed, model)
    rows = {row["decision_id"]: row for row in given.to_pylist()}
    drivers = {driver.name: driver for driver in words.drivers}
    stated = 0
    for told in explanations.explained(given, model, words).to_pylist():
        row = rows[told["decision_id"]]
        for name in told["drivers"]:
            feature, least = drivers[name].needs
            assert row[feature] >= least
            without = {**row, **dict(drivers[name].without)}
            assert gain_of(without, row["needs_offer"], model) < gain_of(row, row["needs_offer"], model)
            stated += 1
    assert stated > 100


def test_what_lowers_the_score_is_never_said_to_be_the_reason(words, model):
    told = explanations.explained(batch(31, model), model, words).to_pylist()
    assert told
    assert (
        sum("messages_opened" in row["drivers"] for row in told) < len(told) / 20
    )  # in the model, opened messages count against it


def test_sentences_are_in_the_language_of_the_creative_and_none_where_the_policy_does_not_speak_it(words, model):
    given = batch(41, model)
    languages = {row["decision_id"]: row["language"] for row in given.to_pylist()}
    told = explanations.explained(given, model, words).to_pylist()
    assert {languages[row["decision_id"]] for row in told} == {"en", "de"}
    for row in told:
        assert row["reason_text"].startswith(
            {"en": "You see this because", "de": "Sie sehen dies, weil"}[languages[row["decision_id"]]]
        )


def test_no_sentence_breaks_the_budget_or_speaks_of_compliance(words):
    reasons = explanations.permitted(words, list(words.drivers))
    assert len(reasons) > 10
    for reason in reasons:
        levels = [words.drivers[place].sensitivity for place in reason]
        assert sum(levels) <= words.budget
        assert levels.count(2) <= 1
    said = " ".join(clause for driver in words.drivers for _, clause in driver.words).lower()
    for word in (
        "risk",
        "risik",
        "review",
        "prüf",
        "aml",
        "kyc",
        "sanction",
        "fraud",
        "betrug",
        "verif",
        "balance",
        "geld",
        "money",
    ):
        assert word not in said


def test_every_driver_is_made_of_features_that_models_may_read(words):
    known = registry().columns
    for driver in words.drivers:
        for feature, _ in driver.without:
            assert known[feature].status == "allowed"
        assert driver.sensitivity >= max(known[feature].sensitivity for feature, _ in driver.without)
    explanations._check_registered(words)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"without": (("kyc_tier", 0.0),)}, "which models may not read", id="collected_for_compliance"),
        pytest.param({"without": (("made_up", 0.0),)}, "which models may not read", id="unknown"),
        pytest.param({"sensitivity": 0}, "has 1", id="said_to_be_less_sensitive"),
    ],
)
def test_a_driver_the_registry_does_not_allow_stops_the_run(words, change, says):
    driver = replace(next(driver for driver in words.drivers if driver.name == "line_viewed"), **change)
    with pytest.raises(PolicyError, match=says):
        explanations._check_registered(replace(words, drivers=(driver,)))


def test_a_model_without_the_features_of_any_driver_names_none(words, model):
    only = replace(words, drivers=tuple(driver for driver in words.drivers if driver.name == "visits"))
    assert explanations.explained(batch(51, model), model, only).num_rows == 0


@pytest.mark.parametrize("seed", [61, 62, 63])
def test_what_the_model_cannot_tell_apart_it_predicts_alike_to_the_last_bit(seed, words, model):
    features = people(seed, 3000)
    of_nobody = 0
    for driver in words.drivers:
        for name, value in driver.without:
            if name not in NAMES:
                continue
            other = np.nan if value is None else value
            is_apart = model.tells_apart(name, features.column(name).to_numpy(), other)
            place = features.schema.get_field_index(name)
            changed = features.set_column(place, name, pa.array(np.full(features.num_rows, other), from_pandas=True))
            before, after = (model.predict(table)["shown"] for table in (features, changed))
            assert (before[~is_apart] == after[~is_apart]).all()
            of_nobody += np.count_nonzero(~is_apart)
            assert (before != after).any() == is_apart.any()
    assert of_nobody > 1000


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-36, -1e-36, 0.5, np.nan], ids=str)
def test_missing_and_nought_are_told_apart_from_all_else(value, model):
    read = replace(model)
    read.__dict__["thresholds"] = {"read": np.array([0.7])}  # of itself it would take 0 and 0.5 for the same
    asked = np.array([0.0, 1e-36, 0.5, 3.0, np.nan])
    is_apart = read.tells_apart("read", asked, value)
    is_nought = np.array([True, True, False, False, False])
    same = np.isnan(asked) if np.isnan(value) else is_nought if abs(value) < 1e-30 else asked == 0.5
    assert (is_apart == ~same).all()
    assert not model.tells_apart("a_feature_without_splits", asked, value).any()


@pytest.fixture
def going_out(model):
    """A warehouse in which 900 people are shown one offer each by e-mail, 100 more are held out, and 500 did not get it."""
    features = people(71, 1500)
    gain = pa.table({"gain": scoring.gain(model.predict(features), np.zeros(1500, dtype=bool))})
    connection = duckdb.connect()
    connection.register("features", features)
    connection.register("gain", gain)
    connection.execute("""
        create schema eligibility; create schema features; create schema staging; create schema policy; create schema decisions;
        create table features.person_line_features as
        select printf('p%04d', row_number() over ()) as person_id, 'spot' as product_line, * from features;
        create table features.person_features as select person_id from features.person_line_features;
        create table staging.stg_catalogue__offers as select 'o' as offer_id, 1 as version;
        create table policy.product_lines as select 'spot' as product_line, false as outcome_needs_offer;
        create table eligibility.candidates as
        select person_id, 'o' as offer_id, 1 as offer_version, product_line, 'email' as channel from features.person_line_features;
        create table decisions.ledger as
        select 'd' || person_id as decision_id, candidates.* exclude (product_line), 'en-IE' as locale,
            person_id <= 'p1000' as is_chosen, if(person_id <= 'p0900', 'treated', 'held_out') as arm
        from eligibility.candidates as candidates;
        create table decisions.scores as
        select candidates.* exclude (product_line), gain.gain from eligibility.candidates as candidates positional join gain
    """)
    with connection:
        yield connection


def test_batches_do_not_matter_and_only_what_goes_out_is_explained(going_out, words, model):
    assert explanations.explain(going_out, model, words) == 900
    whole = going_out.execute("select * from decisions.explanations").fetchall()
    assert explanations.explain(going_out, model, words, batch_rows=100) == 900
    assert going_out.execute("select * from decisions.explanations").fetchall() == whole
    assert len(whole) > 300
    assert max(row[0] for row in whole) <= "dp0900"


def test_a_batch_that_was_written_is_let_go(going_out, words, model, monkeypatch):
    written, most = [], 0
    explained = explanations.explained

    def watched(batch, model, words):
        nonlocal most
        most = max(most, sum(one() is not None for one in written))
        told = explained(batch, model, words)
        written.append(weakref.ref(told))
        return told

    monkeypatch.setattr(explanations, "explained", watched)
    explanations.explain(going_out, model, words, batch_rows=100)
    assert len(written) > 5
    assert most <= 2
