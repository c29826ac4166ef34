"""What a creative may not say is found, quoted and placed; the audit's own reading of the same words finds the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from candor.audit import catalogue as audit
from candor.catalogue import findings
from candor.cli import app
from candor.errors import PolicyError
from candor.policy.loading import load

POLICY = Path(__file__).parents[3] / "policy"
BRAND = load(POLICY, "crypto").brand
RAW = yaml.safe_load((POLICY / "brand.yml").read_text(encoding="utf-8"))
PLAIN = "You choose the amount. You decide if and when."
OFFER = ("o1", 1, ["transparency"], "adults with an account", "minors")


def lint(*creatives, offers=(OFFER,)):
    """(creative, field, finding, becomes, quote, place) of every finding. A creative is (id, locale, title, body, why_template)."""
    with duckdb.connect() as connection:
        connection.execute(
            "create table creatives (creative_id varchar, locale varchar, title varchar, body varchar, why_template varchar, "
            "offer_id varchar default 'o1', offer_version integer default 1, channel varchar default 'web')"
        )
        connection.execute(
            "create table offers (offer_id varchar, version integer, brand_values varchar[], target_market varchar, negative_target_market varchar)"
        )
        if creatives:
            connection.executemany(
                "insert into creatives (creative_id, locale, title, body, why_template) values (?, ?, ?, ?, ?)", list(creatives)
            )
        connection.executemany("insert into offers values (?, ?, ?, ?, ?)", list(offers))
        query = findings(BRAND, creatives="creatives", offers="offers")
        return connection.execute(
            f"select creative_id, field, finding, becomes, quote, place from ({query}) order by all"
        ).fetchall()


def audited(*creatives) -> dict[str, tuple[set[str], bool]]:
    """Of each creative what the audit makes of its words: the pressure flags, and whether it can be read."""
    frame = pl.DataFrame(list(creatives), schema=["creative_id", "locale", "title", "body", "why_template"], orient="row")
    frame = frame.select("creative_id", flags=audit._flags(RAW), is_readable=audit._is_readable(RAW))
    return {row["creative_id"]: (set(row["flags"]), row["is_readable"]) for row in frame.iter_rows(named=True)}


def test_plain_words_pass():
    assert lint(("c1", "en-GB", "Buy bitcoin in the amount you choose", PLAIN, "You asked for it")) == []


def test_words_are_quoted_with_the_character_they_start_at():
    assert lint(("c1", "en-GB", "Bitcoin will soar", "Only 3 hours left", None)) == [
        ("c1", "body", "countdown", "countdown", "Only 3 hours left", 1),
        ("c1", "title", "price_direction", "guaranteed_return", "will soar", 9),
    ]


@pytest.mark.parametrize(
    "example",
    [(row["language"], row["flag"], example) for row in RAW["phrases"] for example in row["examples"]],
    ids=lambda example: "-".join(example).replace(" ", "_"),
)
def test_each_phrase_is_found_within_a_sentence_and_in_capitals(example):
    language, flag, words = example
    said = [(f"c{place}", f"{language}-XX", None, text, None) for place, text in enumerate((f"Well, {words}.", words.upper()))]
    found = {(creative, finding) for creative, _, finding, *_ in lint(*said)}
    assert {("c0", flag), ("c1", flag)} <= found


@pytest.mark.parametrize(
    ("words", "quote"),
    [
        ("Gu\u200baranteed", "\u200b"),
        ("Fr\u0435e money", "Fr\u0435e"),
        ("\uff27uaranteed", "\uff27"),
        ("\U0001d406ains", "\U0001d406"),
    ],
    ids=["zero_width", "cyrillic_e", "full_width", "mathematical"],
)
def test_characters_that_hide_words_are_found(words, quote):
    assert ("c1", "title", "hidden_characters", "hidden_cost", quote) in {
        row[:5] for row in lint(("c1", "en", words, PLAIN, None))
    }


def test_quotes_dashes_and_spaces_of_every_kind_are_read_as_one():
    assert [row[4:] for row in lint(("c1", "en", "x\u00a0Don\u2019t\u202fmiss it", "risk\u2011free", None))] == [
        ("risk-free", 1),
        ("Don't miss", 3),
    ]


@pytest.mark.parametrize(("locale", "is_found"), [("fr-FR", True), ("", True), ("EN", False), ("de_AT", False)])
def test_a_language_without_a_lexicon_cannot_be_approved(locale, is_found):
    assert [row[1:3] for row in lint(("c1", locale, "x", "y", None))] == [("locale", "language_unread")] * is_found


def test_a_body_over_the_reading_level_is_found_and_a_short_one_is_not_measured():
    hard = "Notwithstanding considerations regarding counterparty exposure, participants acknowledge comprehensive disclosures hereby."
    assert [
        row[1:4] for row in lint(("c1", "en", "x", hard, None), ("c2", "en", "x", "Blockchain notwithstanding.", None))
    ] == [("body", "hard_to_read", None)]


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (OFFER, set()),
        (("o1", 1, [], "adults", "minors"), {"no_brand_values"}),
        (("o1", 1, None, "adults", "minors"), {"no_brand_values"}),
        (("o1", 1, ["transparency", "greed"], "adults", "minors"), {"unknown_brand_value"}),
        (("o1", 1, ["transparency"], None, "minors"), {"no_target_market"}),
        (("o1", 1, ["transparency"], "adults", "  "), {"no_negative_target_market"}),
    ],
    ids=["complete", "no_values", "null_values", "foreign_value", "no_target", "blank_negative_target"],
)
def test_an_offer_says_what_it_stands_for_and_whom_it_is_and_is_not_for(offer, expected):
    assert {row[2] for row in lint(offers=(offer,))} == expected


PIECES = [example for row in RAW["phrases"] for example in row["examples"]] + [
    "You choose the amount", "Lesson one: what a block is.", "earn 5", "% a year", "only", "3", "hours left", "free", "*", "will", "soar",
    "risk", "-", "\u2011", "Don", "\u2019", "t miss", "\u00a0", "\u200b", "\u0430", "gu", "aranteed", "Notwithstanding considerations",
    ". ", "! ", "nur noch", "Pl\u00e4tze", "Pla\u0308tze", "überbewertet", "für", "läuft heute", "", "\n", "Rendite", "5 %", ":",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_the_audit_reads_random_words_as_the_lint_does(seed):
    rng = np.random.default_rng(seed)

    def text() -> str | None:
        if rng.random() < 0.1:
            return None
        return "".join(str(rng.choice(PIECES)) + str(rng.choice(["", " ", " "])) for _ in range(rng.integers(1, 14)))

    said = [(f"c{n}", str(rng.choice(["en-GB", "de-DE", "en", "fr-FR"])), text(), text(), text()) for n in range(400)]
    found: dict[str, tuple[set[str], bool]] = {creative: (set(), True) for creative, *_ in said}
    for creative, _, _, becomes, *_ in lint(*said):
        flags, is_readable = found[creative]
        found[creative] = (flags | ({becomes} - {None}), is_readable and becomes is not None)
    assert audited(*said) == found
    assert len({tuple(sorted(flags)) for flags, _ in found.values()}) > 5
    assert {is_readable for _, is_readable in found.values()} == {True, False}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('pattern: \'\\b(call|', 'pattern: \'(?=x)\\b(call|', "lookaround"),
        ('pattern: \'\\b(call|', 'pattern: \'((call|', "no regular expression"),
        ('examples: ["Call us to cancel"]', 'examples: ["Press a button"]', "does not find its own example"),
        ('examples: ["Call us to cancel"]', "examples: []", "needs at least one example"),
        ("{flag: obstructed_optout, language: en", "{flag: obstructed, language: en", "is not among the flags"),
        ("{flag: obstructed_optout, language: en", "{flag: obstructed_optout, language: fr", "is not among the languages"),
        ("- {flag: hidden_characters,", "- {flag: hidden_letters,", "hidden_characters is missing"),
        ("{flag: fomo, becomes: fomo", "{flag: fomo, becomes: nothing", "becomes"),
    ],
    ids=["lookaround", "broken_pattern", "misses_example", "no_example", "unknown_flag", "unknown_language", "no_hidden", "unknown_pressure"],
)  # fmt: skip
def test_a_mistake_in_the_brand_file_is_named_with_its_line(tmp_path, old, new, complaint):
    folder = shutil.copytree(POLICY, tmp_path / "policy")
    text = (folder / "brand.yml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / "brand.yml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(PolicyError, match=rf"brand\.yml:\d+: .*{complaint}"):
        load(folder, "crypto")


def run(*arguments):
    return CliRunner().invoke(app, ["catalogue", "lint", *map(str, arguments)], env={"COLUMNS": "200"})


def test_a_file_of_creatives_is_linted_before_anybody_delivers_it(tmp_path):
    file = tmp_path / "creatives.csv"
    file.write_text(
        "creative_id,locale,title,body\nc1,en-GB,Last chance,Buy it\nc2,en-GB,Lesson one,A block is a page\n", encoding="utf-8"
    )
    result = run(file, "--out", tmp_path / "found.csv")
    assert result.exit_code == 1
    assert "[Last chance]" in result.output
    assert "c2" not in result.output
    rows = (tmp_path / "found.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1] == ",,c1,,en-GB,title,countdown,Last chance,1"
    file.write_text("creative_id,locale,title,body\nc2,en-GB,Lesson one,A block is a page\n", encoding="utf-8")
    assert run(file).exit_code == 0


@pytest.mark.parametrize(("title", "code"), [("Last chance", 1), ("Lesson one", 0)])
def test_the_command_itself_ends_with_1_when_something_was_found(tmp_path, title, code):
    file = tmp_path / "creatives.csv"
    file.write_text(f"creative_id,locale,title,body\nc1,en-GB,{title},Buy it\n", encoding="utf-8")
    command = [sys.executable, "-c", "from candor.cli import main; main()", "catalogue", "lint", str(file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == code


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("c.csv", "creative_id,locale,title\nc1,en,x\n", "no column 'body'"),
        ("c.csv", "creative_id,locale,title,body\nc1,en,x,y\nc1,en,x,y\n", "'c1' is there twice"),
        ("c.txt", "x", "no table that can be read"),
        ("c.parquet", "no parquet", "cannot be read"),
        ("c.csv", None, "there is no file"),
    ],
    ids=["no_body", "twice", "no_table", "not_what_it_says", "no_file"],
)
def test_a_file_that_cannot_be_linted_says_why(tmp_path, name, text, complaint):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    result = run(tmp_path / name)
    assert result.exit_code != 0
    assert complaint in str(result.exception)
