"""Records as they can be compared: one clean row each, in a fixed order, and the columns worth comparing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from candor.errors import UsageError
from candor.identity.resolution.columns import KEYS, ROLES, Column
from candor.identity.resolution.kin import KINDS

if TYPE_CHECKING:
    import duckdb
    import pyarrow

# Words that stand for "nothing", in the spellings exports use.
NOTHING = ("", "null", "none", "nil", "nan", "n a", "unknown", "not known", "missing", "not given", "undefined", "unspecified")
# Words in a full name that are nobody's first or last name. Particles (van, de) stay: they are part of the last name.
TITLES = """
    sir mr mrs ms miss mister dr doctor prof professor rev reverend lord lady dame hon honourable honorable right the count
    countess baron baroness baronet bt earl duke duchess viscount marquess prince princess captain capt major colonel col
    general gen admiral lieutenant lt sergeant jr sr junior senior esq esquire phd md qc kc mp obe mbe cbe 1st 2nd 3rd 4th
    5th 6th 7th 8th 9th 10th 11th 12th
"""

# A month-day that is this many times as frequent as chance is what systems write when they know only the year.
PLACEHOLDER_TIMES = 4
# Columns of which fewer than this share of records have a value say too little to be learned from.
SMALLEST_FILL = 0.01
# A column whose words are among the record's names this often is one more name.
SAME_NAME = 0.7
# Up to this many different values a column is a category: equal or not, with no "nearly".
CATEGORY_VALUES = 30

MACROS = """
create or replace macro clean(text) as (
    select case when length(word) = 0 or word in ({nothing}) then null else word end
    from (select trim(regexp_replace(lower(strip_accents(replace(replace(text, '''', ''), '’', ''))), '[^\\p{{L}}\\p{{N}}]+', ' ', 'g')) as word)
);
create or replace macro code(text) as nullif(replace(clean(text), ' ', ''), '');
create or replace macro sounds(word) as
    left(word, 1) || regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        regexp_replace(replace(replace(replace(replace(replace(substr(word, 2), ' ', ''), 'ph', 'f'), 'gh', ''), 'ck', 'k'), 'tch', 'c'),
        '[aeiouyhw]', '', 'g'),
        '[cgjkqsxz]+', 'k', 'g'), '[dt]+', 't', 'g'), '[bfpv]+', 'p', 'g'), '[mn]+|[lr]+', 'n', 'g');
create or replace macro words(text) as string_split(text, ' ');
"""


def load(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pyarrow.Table]) -> int:
    """How many records table `given` now holds: all rows of all tables, text, ordered by (record_id, source), numbered from 0 in `uid`.

    The order of tables and rows leaves no trace. Raises UsageError: a null record_id, or the same (source, record_id) twice.
    """
    parts = []
    for number, (name, table) in enumerate(sorted(tables.items())):
        view = f"given_{number}"
        connection.register(view, table)
        source = "'" + name.replace("'", "''") + "'"
        named = f"coalesce(nullif(trim(source), ''), {source})" if "source" in table.column_names else source
        others = ", ".join(f'cast("{column}" as varchar) as "{column}"' for column in table.column_names if column not in KEYS)
        parts.append(
            f"select {named} as source, trim(cast(record_id as varchar)) as record_id{', ' + others if others else ''} from {view}"
        )
    union = " union all by name ".join(parts)
    connection.execute(f"create or replace temp table unordered as {union}")
    nameless = connection.execute(
        "select source, count(*) from unordered where coalesce(record_id, '') = '' group by 1"
    ).fetchall()
    if nameless:
        where = ", ".join(f"{source}: {count:,}" for source, count in sorted(nameless))
        raise UsageError(f"rows without a record_id ({where})", hint="every row needs an id that is unique within its source")
    twice = connection.execute(
        "select source, record_id, count(*) as times from unordered group by all having times > 1 order by source, record_id"
    ).fetchall()
    if twice:
        shown = ", ".join(f"{source}/{record} x {times}" for source, record, times in twice[:5])
        raise UsageError(
            f"{len(twice):,} record ids are used more than once in their source: {shown}",
            hint="give each row an id of its own, or each file a source of its own",
        )
    connection.execute(
        "create or replace table given as "
        "select row_number() over (order by record_id, source) - 1 as uid, * from unordered order by record_id, source"
    )
    connection.execute("drop table unordered")
    row = connection.execute("select count(*) from given").fetchone()
    return int(row[0]) if row else 0


def standardise(connection: duckdb.DuckDBPyConnection) -> list[Column]:
    """The columns to compare by, after table `records` was made of table `given`: one row per record, clean text or null.

    Raises UsageError when nothing in the table tells persons apart.
    """
    nothing = ", ".join(f"'{word}'" for word in NOTHING)
    connection.execute(MACROS.format(nothing=nothing))
    have = [row[0] for row in connection.execute("describe given").fetchall() if row[0] not in ("uid", *KEYS)]
    pieces, columns = [], []
    if {"first_name", "last_name", "full_name"} & set(have):
        _names(connection, have)
        pieces += ["given", "given_sound", "family", "family_sound", "family_words", "more_names", "both_names"]
        columns += [Column("given", "given", "first_name"), Column("family", "family", "last_name")]
        columns += [Column("more_names", "words", "full_name")]
    if "birth_date" in have:
        _dates(connection)
        pieces += ["born", "born_year", "born_day", "born_is_vague"]
        columns.append(Column("born", "date", "birth_date"))
    expressions = [f"names.{name}" for name in pieces if not name.startswith("born")]
    expressions += [f"dates.{name}" for name in pieces if name.startswith("born")]
    for name in have:
        if name in ("first_name", "last_name", "full_name", "birth_date"):
            continue
        made, column = _other(connection, name)
        if column is None:
            continue
        expressions += made
        columns.append(column)
    joins = " left join names using (uid)" if "given" in pieces else ""
    joins += " left join dates using (uid)" if "born" in pieces else ""
    listed = ", ".join(["uid", *expressions])
    connection.execute(f"create or replace table records as select {listed} from given{joins} order by uid")
    for column in columns:
        if column.kind in KINDS:
            connection.execute(f'alter table records add column "kin_{column.name}" varchar[]')
    telling = [
        column
        for column in columns
        if _says_something(connection, column) and not _repeats_the_name(connection, column, columns)
    ]
    # one record, or a handful that are all alike: nothing can be learned, but they are records all the same
    columns = telling or [column for column in columns if _is_filled(connection, column)]
    if not columns:
        raise UsageError(
            f"no usable column: {', '.join(have) or 'there is nothing beside record_id and source'}",
            hint="records need at least one filled column besides ids, such as "
            + ", ".join(list(ROLES)[2:8])
            + "; rename with --map",
        )
    return columns


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _names(connection: duckdb.DuckDBPyConnection, have: list[str]) -> None:
    """Table `names`: given (first word of the first name), family, more_names (every other word, sorted), both_names."""
    first = "clean(first_name)" if "first_name" in have else "null::varchar"
    last = "clean(last_name)" if "last_name" in have else "null::varchar"
    whole = "full_name" if "full_name" in have else "null::varchar"
    titles = ", ".join(f"'{word}'" for word in TITLES.split())
    connection.execute(f"""
        create or replace table names as
        with spelt as (
            select uid, {first} as first_name, {last} as last_name,
                words(clean(split_part({whole}, ',', 1))) as before_comma,
                words(clean(nullif(substr({whole}, length(split_part({whole}, ',', 1)) + 2), ''))) as after_comma
            from given
        ), without_titles as (
            select *, list_filter(before_comma, word -> word not in ({titles})) as head,
                list_filter(after_comma, word -> word not in ({titles})) as tail
            from spelt
        ), in_order as (
            -- "Chaloner, Thomas" is last name first, but "Thomas Chaloner, of Guisborough" and "Sir Thomas Chaloner, 1st Baronet" are not
            select *, case when len(head) = 1 and len(tail) >= 1 and len(before_comma) = 1 then list_concat(tail, head) else head end as name_words
            from without_titles
        ), chosen as (
            select *,
                coalesce(first_name, case when len(name_words) >= 2 or last_name is null then
                    list_extract(list_filter(name_words, word -> last_name is null or word <> last_name), 1) end) as given_words,
                coalesce(last_name, case when len(name_words) >= 2 then name_words[-1] end) as family
            from in_order
        ), split as (
            select *, split_part(given_words, ' ', 1) as given,
                list_concat(coalesce(before_comma, []), coalesce(after_comma, []), coalesce(words(given_words), [])) as all_words
            from chosen
        )
        select uid, nullif(given, '') as given, sounds(nullif(given, '')) as given_sound,
            family, sounds(family) as family_sound, words(family) as family_words,
            nullif(list_sort(list_distinct(list_filter(all_words,
                word -> word <> given and not list_contains(coalesce(words(family), []), word)))), []) as more_names,
            case when given is not null and family is not null then least(given, family) || ' ' || greatest(given, family) end as both_names
        from split
    """)


def _dates(connection: duckdb.DuckDBPyConnection) -> None:
    """Table `dates`: born (yyyymmdd; 0000 for an unknown day), born_year, born_day (mmdd), born_is_vague.

    A date that no calendar has (19931319) is kept: its digits still tell.
    Day and month of 03/04/1990 are read the way round that the column's other dates allow; day first when all allow both.
    """
    connection.execute("""
        create or replace temp table date_parts as
        with spelt as (select uid, trim(birth_date) as text from given where trim(birth_date) <> ''),
        parts as (
            select uid, text,
                regexp_extract(text, '^(\\d{4})[-/. ](\\d{1,2})[-/. ](\\d{1,2})', ['y', 'm', 'd']) as year_first,
                regexp_extract(text, '^(\\d{1,2})[-/. ](\\d{1,2})[-/. ](\\d{4})', ['a', 'b', 'y']) as year_last,
                regexp_extract(text, '^(\\d{4})[-/. ]?(\\d{0,2})$', ['y', 'm']) as short,
                case when regexp_full_match(text, '\\d{8}') then text end as digits,
                strftime(try_strptime(text, ['%d %B %Y', '%d %b %Y', '%B %d, %Y', '%b %d, %Y', '%B %d %Y', '%b %d %Y', '%d-%b-%Y']), '%Y%m%d')
                    as spelt_out
            from spelt
        )
        select * from parts
    """)
    row = connection.execute(
        "select count(*) filter (where try_cast(year_last.a as int) > 12), count(*) filter (where try_cast(year_last.b as int) > 12) from date_parts"
    ).fetchone()
    day, month = ("b", "a") if row and row[1] > row[0] else ("a", "b")
    connection.execute(f"""
        create or replace table dates as
        with read_dates as (
            select uid, case
                when digits is not null and left(digits, 2) between '10' and '20' then digits
                when digits is not null then substr(digits, 5, 4) || substr(digits, 3, 2) || left(digits, 2)
                when year_first.y <> '' then year_first.y || lpad(year_first.m, 2, '0') || lpad(year_first.d, 2, '0')
                when year_last.y <> '' then year_last.y || lpad(year_last.{month}, 2, '0') || lpad(year_last.{day}, 2, '0')
                when short.y <> '' then short.y || lpad(short.m, 2, '0') || '00'
                else spelt_out end as born
            from date_parts
        ), days as (
            select substr(born, 5, 4) as born_day, count(*) as records, sum(count(*)) over () as all_records
            from read_dates where born is not null group by 1
        ), vague_days as (
            select born_day from days
            where right(born_day, 2) = '00' or (records >= 20 and records * 365 > {PLACEHOLDER_TIMES} * all_records)
        )
        select uid, born, left(born, 4) as born_year, substr(born, 5, 4) as born_day,
            substr(born, 5, 4) in (select born_day from vague_days) as born_is_vague
        from read_dates where born is not null
    """)


def _other(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[list[str], Column | None]:
    """(select expressions, column) of any column that is neither a name nor the birth date; no column when it cannot be compared."""
    quoted = _quoted(name)
    role = name if name in ROLES else "other"
    if role == "email":
        made = [f"nullif(replace(lower(trim(given.{quoted})), ' ', ''), '') as email"]
        made.append(f"nullif(regexp_replace(split_part(lower(given.{quoted}), '@', 1), '[^a-z]', '', 'g'), '') as email_name")
        return made, Column("email", "email", role)
    if role == "phone":
        # nine digits: what is left of most numbers when country code and trunk zero are written or not
        return [f"nullif(right(regexp_replace(given.{quoted}, '[^0-9]', '', 'g'), 9), '') as phone"], Column(
            "phone", "code", role
        )
    if role == "national_id":
        return [f"code(given.{quoted}) as national_id"], Column("national_id", "code", role)
    if role == "postal_code":
        area = f"case when regexp_matches(code(given.{quoted}), '[a-z]') and length(code(given.{quoted})) > 4 then left(code(given.{quoted}), -3) "
        area += f"else left(code(given.{quoted}), 3) end as postal_area"
        return [f"code(given.{quoted}) as postal_code", area], Column("postal_code", "postal", role)
    if role == "gender":
        word = f"clean(given.{quoted})"
        made = [
            f"case when {word} in ('m', 'male', 'man') then 'm' when {word} in ('f', 'female', 'woman', 'w') then 'f' else {word} end as gender"
        ]
        return made, Column("gender", "category", role)
    row = connection.execute(f"""
        select count(value), count(distinct value), coalesce(avg((regexp_matches(value, '[0-9]') and not contains(value, ' '))::int), 0),
            coalesce(avg(contains(value, ' ')::int), 0)
        from (select clean({quoted}) as value from given)
    """).fetchone()
    filled, distinct, coded, several = row if row else (0, 0, 0.0, 0.0)
    # letters of other alphabets would need quoting in every expression that Splink parses
    standard = "x_" + (name if name.isascii() else hashlib.sha256(name.encode()).hexdigest()[:8]) if role == "other" else name
    if filled == 0:
        return [], None
    if distinct <= CATEGORY_VALUES and role != "place":
        kind = "category"
    elif coded > 0.5:
        kind = "code"
    else:
        kind = "phrase" if several > 0.2 else "text"
    made = [f"clean(given.{quoted}) as {_quoted(standard)}"]
    if kind == "phrase":
        made.append(f"words(clean(given.{quoted})) as {_quoted(standard + '_words')}")
    return made, Column(standard, kind, role)


def _is_filled(connection: duckdb.DuckDBPyConnection, column: Column) -> bool:
    row = connection.execute(f"select count({_quoted(column.name)}) from records").fetchone()
    return bool(row and row[0])


def _says_something(connection: duckdb.DuckDBPyConnection, column: Column) -> bool:
    """Whether enough records have the column and its values differ; one that never repeats says something only if near values can."""
    row = connection.execute(
        f"select count(*), count({_quoted(column.name)}), count(distinct {_quoted(column.name)}) from records"
    ).fetchone()
    records, filled, distinct = row if row else (0, 0, 0)
    if filled < max(2, SMALLEST_FILL * records) or distinct < 2:
        return False
    return not (distinct == filled and column.role == "other")


def _repeats_the_name(connection: duckdb.DuckDBPyConnection, column: Column, columns: list[Column]) -> bool:
    """Whether an unknown column only says the person's name once more, as a display name does: it would count twice."""
    if column.role != "other" or column.kind not in ("text", "phrase") or not any(one.name == "given" for one in columns):
        return False
    name = _quoted(column.name)
    row = connection.execute(f"""
        select count(*), count(*) filter (where list_has_all(
            list_concat([given], coalesce(family_words, []), coalesce(more_names, [])), words({name})))
        from records where {name} is not null and given is not null
    """).fetchone()
    filled, repeated = row if row else (0, 0)
    return bool(repeated >= SAME_NAME * filled)
