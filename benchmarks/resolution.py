"""`candor identity resolve` against Splink 5 with the settings of its own tutorials, on public and made-up records with known truth.

    python -m benchmarks.resolution [--heavy 10000] [--only fake_1000]

Prints, per data set: pairwise precision, recall and F1, B-cubed F1, pairs compared and seconds, ours beside Splink's; then Splink when it
scores the pairs that our blocking chose; both also at the threshold that the truth would choose for them, which nobody knows beforehand.
The public sets are looked for in ../shared/data.
Splink's settings are those of the tutorials for the same data: tutorials 00 to 07 (fake_1000), "Linking the febrl4 datasets", "Febrl3 dedupe"
(for febrl 1 and 2), "Deduplicate 50k rows" (for made-up heavy errors, as it is for historical persons); clusters at probability 0.95 as there.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from benchmarks.resolution_people import heavy
from candor.identity.resolution import blocking, persons, reading, standardise

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TUTORIAL_THRESHOLD = 0.95
THRESHOLDS = (0.01, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)
SEED = 1


@dataclass(frozen=True)
class Measure:
    precision: float
    recall: float
    f1: float
    b_cubed: float


@dataclass(frozen=True)
class Case:
    """Records by source, the true person of each (source, record_id), and Splink's tutorial for such data."""

    name: str
    tables: dict[str, pa.Table]
    truth: dict[tuple[str, str], str]
    tutorial: Callable[[], Tutorial]


@dataclass(frozen=True)
class Tutorial:
    comparisons: list[Any]
    blocking: list[Any]
    deterministic: list[Any]
    recall: float
    training: list[Any]


def measure(truth: npt.NDArray[np.int64], found: npt.NDArray[np.int64]) -> Measure:
    """Pairwise and B-cubed agreement of two groupings of the same records (Bagga and Baldwin 1998)."""
    both = np.unique(truth * (int(found.max()) + 1) + found, return_inverse=True, return_counts=True)
    in_truth, in_found, in_both = np.bincount(truth)[truth], np.bincount(found)[found], both[2][both[1]]

    def pairs(sizes: npt.NDArray[np.int64]) -> int:
        return int((sizes - 1).sum()) // 2  # each record has size - 1 partners, each pair is seen from both ends

    precision = pairs(in_both) / max(pairs(in_found), 1)
    recall = pairs(in_both) / max(pairs(in_truth), 1)
    b_precision, b_recall = float((in_both / in_found).mean()), float((in_both / in_truth).mean())
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    return Measure(precision, recall, f1, 2 * b_precision * b_recall / (b_precision + b_recall))


def fake_1000() -> Case:
    table = reading.read([DATA / "splink_er" / "fake_1000.csv"], {"unique_id": "record_id"})["fake_1000"]
    truth = dict(
        zip((("fake_1000", record) for record in table["record_id"].to_pylist()), table["cluster"].to_pylist(), strict=True)
    )
    return Case("fake_1000", {"fake_1000": table.drop_columns(["cluster"])}, truth, _tutorial_fake)


def febrl(name: str, *files: str) -> Case:
    tables = reading.read([DATA / "febrl" / f"{file}.csv" for file in files], {"rec_id": "record_id"})
    truth = {
        (source, record): record.split("-")[1] for source, table in tables.items() for record in table["record_id"].to_pylist()
    }
    return Case(name, tables, truth, _tutorial_febrl)


def made_up(records: int, seed: int, per_person: float) -> Case:
    table, person = heavy(records, seed, per_person)
    truth = dict(
        zip((("made_up", record) for record in table["record_id"].to_pylist()), map(str, person.to_pylist()), strict=True)
    )
    return Case(f"made up, {per_person:g} each, seed {seed}", {"made_up": table}, truth, _tutorial_historical)


def _tutorial_fake() -> Tutorial:
    return Tutorial(
        [
            cl.NameComparison("first_name"),
            cl.NameComparison("last_name"),
            cl.DateOfBirthComparison("birth_date", input_is_string=True),
            cl.ExactMatch("place").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        [block_on("first_name", "place"), block_on("last_name")],
        ["l.first_name = r.first_name and levenshtein(r.birth_date, l.birth_date) <= 1", block_on("email")],
        0.7,
        [block_on("first_name", "last_name"), block_on("birth_date")],
    )


def _tutorial_febrl() -> Tutorial:
    return Tutorial(
        [
            cl.NameComparison("first_name"),
            cl.NameComparison("last_name"),
            cl.DateOfBirthComparison("birth_date", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True),
            cl.DamerauLevenshteinAtThresholds("national_id", [2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("postal_code", [1, 2]).configure(term_frequency_adjustments=True),
        ],
        [
            block_on("first_name", "last_name"),
            "l.first_name = r.last_name and l.last_name = r.first_name",
            block_on("birth_date"),
            block_on("national_id"),
            block_on("region", "street"),
            block_on("street_number", "street"),
            block_on("postal_code"),
        ],
        [block_on("national_id"), block_on("first_name", "last_name", "birth_date")],
        0.9,
        [block_on("birth_date"), block_on("postal_code")],
    )


def _tutorial_historical() -> Tutorial:
    return Tutorial(
        [
            cl.ForenameSurnameComparison("first_name", "last_name", forename_surname_concat_col_name="first_and_last"),
            cl.DateOfBirthComparison("birth_date", input_is_string=True),
            cl.PostcodeComparison("postal_code"),
            cl.ExactMatch("place").configure(term_frequency_adjustments=True),
            cl.ExactMatch("occupation").configure(term_frequency_adjustments=True),
        ],
        [
            block_on("substr(first_name,1,3)", "substr(last_name,1,4)"),
            block_on("last_name", "birth_date"),
            block_on("first_name", "birth_date"),
            block_on("postal_code", "first_name"),
            block_on("postal_code", "last_name"),
            block_on("birth_date", "place"),
            block_on("substr(postal_code,1,3)", "birth_date"),
            block_on("substr(postal_code,1,3)", "first_name"),
            block_on("substr(postal_code,1,3)", "last_name"),
            block_on("substr(first_name,1,2)", "substr(last_name,1,2)", "substr(birth_date,1,4)"),
        ],
        [block_on("first_name", "last_name", "birth_date"), block_on("postal_code", "birth_date")],
        0.6,
        [block_on("first_name", "last_name"), block_on("birth_date")],
    )


def ours(case: Case) -> tuple[Measure, int, float]:
    start = time.perf_counter()
    resolution = persons.resolve(case.tables, seed=SEED)
    seconds = time.perf_counter() - start
    answer = resolution.table
    keys = list(zip(answer["source"].to_pylist(), answer["record_id"].to_pylist(), strict=True))
    return (
        measure(_numbers([case.truth[key] for key in keys]), _numbers(answer["person_id"].to_pylist())),
        resolution.pairs_compared,
        seconds,
    )


def tutorial(case: Case, *, our_blocking: bool) -> tuple[Measure, Measure, int, float]:
    """Splink as its tutorial has it, and at the best threshold, chosen with the truth; with `our_blocking` only the pairs differ."""
    start = time.perf_counter()
    plan = case.tutorial()
    with duckdb.connect(config={"threads": 2}) as connection:
        standardise.load(connection, case.tables)
        ids = connection.execute("select uid, source, record_id from given order by uid").fetchall()
        if our_blocking:
            blocking.block(connection, standardise.standardise(connection))
        columns = [row[0] for row in connection.execute("describe given").fetchall()]
        both = ", first_name || ' ' || last_name as first_and_last" if "first_name" in columns else ""
        filled = ", ".join(f"nullif(trim({name}), '') as {name}" for name in columns if name != "uid")
        connection.execute(f"create table input as select uid, {filled}{both} from given order by uid")
        api = DuckDBAPI(connection=connection)
        linked = len(case.tables) > 1 and not our_blocking
        if linked:
            parts = []
            for name in sorted(case.tables):
                connection.execute(f"create table \"{name}\" as select * exclude (source) from input where source = '{name}'")
                parts.append(api.register(name))
        settings = SettingsCreator(
            link_type="link_only" if linked else "dedupe_only",
            unique_id_column_name="uid",
            comparisons=plan.comparisons,
            blocking_rules_to_generate_predictions=plan.blocking,
        )
        linker = Linker(parts if linked else api.register("input"), settings, log_level=logging.ERROR)
        linker.training.estimate_probability_two_random_records_match(plan.deterministic, recall=plan.recall)
        linker.training.estimate_u_using_random_sampling(max_pairs=1e6 + 1, seed=SEED)
        for rule in plan.training:
            linker.training.estimate_parameters_using_expectation_maximisation(rule)
        if our_blocking:
            connection.execute("create table blocked as select l as join_key_l, r as join_key_r, '0' as match_key from pairs")
            linker.table_management.register_blocked_pairs_for_predict(api.register("blocked"))
        predicted = linker.inference.predict(warning_mode="never")
        edges = connection.execute(f"select uid_l, uid_r, match_probability as p from {predicted.physical_name}").fetchnumpy()
    seconds = time.perf_counter() - start
    truth = _numbers([case.truth[source, record] for _, source, record in ids])

    def at(threshold: float) -> Measure:
        return measure(truth, _components(len(ids), edges["uid_l"], edges["uid_r"], edges["p"] >= threshold))

    best = max((at(threshold) for threshold in THRESHOLDS), key=lambda found: found.f1)
    return at(TUTORIAL_THRESHOLD), best, len(edges["p"]), seconds


def _components(
    records: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], linked: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Connected components over the linked pairs: what Splink's cluster_pairwise_predictions_at_threshold gives."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(int(linked.sum())), (left[linked], right[linked])), shape=(records, records))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _numbers(labels: list[str]) -> npt.NDArray[np.int64]:
    return np.unique(np.array(labels, dtype=str), return_inverse=True)[1].astype(np.int64)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heavy", type=int, default=10_000, help="records of each made-up set")
    parser.add_argument("--only", default="", help="data sets whose name contains this")
    arguments = parser.parse_args()
    cases: list[tuple[str, Callable[[], Case]]] = [
        ("febrl 4a-4b", lambda: febrl("febrl 4a-4b", "dataset4a", "dataset4b")),
        ("febrl 1", lambda: febrl("febrl 1", "dataset1")),
        ("febrl 2", lambda: febrl("febrl 2", "dataset2")),
        ("fake_1000", fake_1000),
        ("made up 10", lambda: made_up(arguments.heavy, 11, 10)),
        ("made up 3", lambda: made_up(arguments.heavy, 12, 3)),
    ]
    if not DATA.is_dir():
        print(f"NO PUBLIC DATA: {DATA} does not exist; only the made-up sets are measured", flush=True)
        cases = [case for case in cases if case[0].startswith("made up")]
    print(f"{'data set':<28}{'who':<30}{'precision':>10}{'recall':>9}{'F1':>9}{'B-cubed':>9}{'pairs':>12}{'seconds':>9}")
    for name, make in cases:
        if arguments.only not in name:
            continue
        case = make()
        mine, pairs, seconds = ours(case)
        _line(case.name, "candor identity resolve", mine, pairs, seconds)
        theirs, theirs_best, pairs, seconds = tutorial(case, our_blocking=False)
        _line("", "Splink 5, its tutorial", theirs, pairs, seconds)
        _line("", "  at its best threshold", theirs_best, pairs, seconds)
        mixed, mixed_best, pairs, seconds = tutorial(case, our_blocking=True)
        _line("", "the same with our blocking", mixed, pairs, seconds)
        _line("", "  at its best threshold", mixed_best, pairs, seconds)
        print(
            f"{'':<28}F1 ratio: ours / Splink {mine.f1 / theirs.f1:.4f}, at its best {mine.f1 / theirs_best.f1:.4f}; "
            f"Splink with our blocking / its own {mixed.f1 / theirs.f1:.4f}, both at their best {mixed_best.f1 / theirs_best.f1:.4f}",
            flush=True,
        )


def _line(name: str, who: str, found: Measure, pairs: int, seconds: float) -> None:
    print(
        f"{name:<28}{who:<30}{found.precision:>10.4f}{found.recall:>9.4f}{found.f1:>9.4f}{found.b_cubed:>9.4f}{pairs:>12,}{seconds:>9.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
