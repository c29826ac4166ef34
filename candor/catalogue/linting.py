"""The lint itself: one SQL query over creatives and offers, built from what the brand says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from candor.policy.brand import HIDDEN, folded

if TYPE_CHECKING:
    from candor.policy.brand import Brand

# What each finding means. Those of the lexicon become pressure flags (policy/brand.yml); with any of these an offer is not approved.
FINDINGS = {
    "language_unread": "nobody has said what may not be said in this language",
    "hard_to_read": "words per sentence plus percentage of long words (LIX) is over the limit of the language",
    "no_brand_values": "the offer names no brand value that it serves",
    "unknown_brand_value": "the offer names a value that is not the brand's",
    "no_target_market": "the offer does not say whom it is for",
    "no_negative_target_market": "the offer does not say whom it is not for",
}

# As people read it: every quote, dash and space is one. No length changes, so a place in it is the place in what was written; nor does
# it where accents and umlauts go, for RE2 takes them for the end of a word.
_READ = "translate(nfc_normalize({column}), '‘’‚‛´`′‐‑‒–—−\u00a0\u2007\u2009\u202f\t\n', '''''''''''''''------      ')"
# Zero width, direction marks, soft hyphen, letters in disguise (mathematical, full width); Latin beside Cyrillic or Greek in one word.
_HIDDEN = (
    r"[\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{FEFF}\x{00AD}\x{FF21}-\x{FF5A}\x{1D400}-\x{1D7FF}]+",
    r"\p{Latin}+[\p{Cyrillic}\p{Greek}]\p{L}*|[\p{Cyrillic}\p{Greek}]+\p{Latin}\p{L}*",
)
_WORD = r"\p{L}[\p{L}\p{N}'-]*|\p{N}+"
_SENTENCE_END = r"[.!?:;]+(\s|$)"
LONG_WORD = 6  # letters that a word may have before it counts as long

_LINT = """
with

written as (

    select
        creative_id,
        offer_id,
        offer_version,
        channel,
        locale,
        lower(regexp_extract(locale, '^[A-Za-z]+')) as language,
        unnest([
            {{'field': 'title', 'words': title}},
            {{'field': 'body', 'words': body}},
            {{'field': 'why_template', 'words': why_template}}
        ], recursive := true)

    from {creatives}

),

readable as (

    select
        written.* exclude (words),
        {read} as words,
        strip_accents({read}) as plain

    from written

    where written.words is not null

),

found as (

    {phrases}

),

quoted as (

    select
        found.*,
        flags.becomes,
        strpos(found.plain, found.found) as place,
        substr(found.words, strpos(found.plain, found.found), length(found.found)) as quote

    from found

    inner join {flags} as flags
        on found.finding = flags.flag

),

bodies as (

    select
        *,
        regexp_extract_all(words, '{word}') as single_words,
        greatest(len(regexp_extract_all(trim(words), '{sentence_end}')), 1) as sentences

    from readable

    where field = 'body'

),

levels as (

    select
        *,
        len(single_words) as count_of_words,
        len(single_words) / sentences + 100.0 * len(list_filter(single_words, lambda word: length(word) > {long_word})) / len(single_words) as lix

    from bodies

    where len(single_words) >= {min_words}

),

said_of_offers as (

    select
        offer_id,
        version as offer_version,
        unnest([
            {{'field': 'brand_values', 'finding': 'no_brand_values', 'quote': '', 'is_so': len(coalesce(brand_values, [])) = 0}},
            {{
                'field': 'brand_values',
                'finding': 'unknown_brand_value',
                'quote': array_to_string(list_sort(list_filter(brand_values, lambda value: not list_contains({values}, value))), ', '),
                'is_so': len(list_filter(coalesce(brand_values, []), lambda value: not list_contains({values}, value))) > 0
            }},
            {{
                'field': 'target_market', 'finding': 'no_target_market', 'quote': '',
                'is_so': coalesce(trim(target_market), '') = ''
            }},
            {{
                'field': 'negative_target_market', 'finding': 'no_negative_target_market', 'quote': '',
                'is_so': coalesce(trim(negative_target_market), '') = ''
            }}
        ], recursive := true)

    from {offers}

),

everything as (

    select offer_id, offer_version, creative_id, channel, locale, field, finding, becomes, quote, place, words
    from quoted

    union all

    select offer_id, offer_version, creative_id, channel, locale, 'locale', 'language_unread', null, locale, null, null
    from {creatives}
    where not list_contains({languages}, lower(regexp_extract(locale, '^[A-Za-z]+')))

    union all

    select levels.offer_id, levels.offer_version, levels.creative_id, levels.channel, levels.locale, levels.field, 'hard_to_read', null,
        format('LIX {{:.0f}}, at most {{}}', levels.lix, limits.max_lix), 1, levels.words
    from levels
    inner join {limits} as limits
        on levels.language = limits.language
        and levels.lix > limits.max_lix

    union all

    select offer_id, offer_version, null, null, null, field, finding, null, quote, null, null
    from said_of_offers
    where is_so

)

select * from everything
order by all
"""


def findings(brand: Brand, *, creatives: str, offers: str) -> str:
    """A DuckDB query of what is found in two relations of the landing contract's columns.

    One row per creative, field, finding and quote, and per offer version and finding: offer_id, offer_version, creative_id (null: of the
    offer), channel, locale, field, finding, becomes (a pressure flag; null: not approved), quote, place (the first character, from 1),
    words (the field as read).
    """
    searched: list[tuple[str, str | None, str, str]] = [
        (phrase.flag, phrase.language, "plain", folded(phrase.pattern)) for phrase in brand.phrases
    ]
    searched += [(HIDDEN, None, "words", pattern) for pattern in _HIDDEN]
    phrases = "\n\n    union all\n\n    ".join(
        f"select * replace ({read} as plain), {_text(flag)} as finding, "
        f"unnest(list_distinct(regexp_extract_all({read}, {_text('(?i)' + pattern)}))) as found from readable"
        + (f" where language = {_text(language)}" if language else "")
        for flag, language, read, pattern in searched
    )
    return _LINT.format(
        creatives=creatives,
        offers=offers,
        read=_READ.format(column="written.words"),
        phrases=phrases,
        flags=_values("flag, becomes", [(flag, becomes) for flag, becomes, _ in brand.flags]),
        limits=_values("language, max_lix", list(brand.max_lix)),
        languages=f"[{', '.join(_text(language) for language, _ in brand.max_lix)}]",
        values=f"[{', '.join(_text(value) for value in brand.values)}]",
        min_words=max(brand.min_words, 1),
        word=_WORD.replace("'", "''"),
        sentence_end=_SENTENCE_END,
        long_word=LONG_WORD,
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _values(columns: str, rows: list[tuple[str, object]]) -> str:
    listed = ", ".join(f"({', '.join(_text(cell) if isinstance(cell, str) else str(cell) for cell in row)})" for row in rows)
    return f"(select * from (values {listed}) as given ({columns}))"
