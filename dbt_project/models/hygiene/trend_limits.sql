with

-- `bad_side` is where a change is bad news; the other side is told, not warned of. `smallest_change` is absolute, `smallest_ratio` relative to
-- usual: the robust floors, so that a history without any spread does not alarm at a hair's change. Fewer than `min_n` rows are not judged.
limits (metric, is_share, bad_side, smallest_change, smallest_ratio, min_n, why) as (

    values
        ('completeness', true, 'low', 0.02, 0, 100, 'two rows in a hundred are an export that changed, not the day''s mix'),
        ('hours_since_arrival', false, 'high', 2, 0, 0, 'deliveries come within the hour; two hours are half of a day''s grace'),
        ('hours_since_event', false, 'high', 24, 0, 0, 'a small shop may have no trade on a day; a day more than usual is a feed that runs empty'),
        ('orphans', true, 'high', 0.02, 0, 100, 'rows of accounts that nobody delivered: one of two extracts is short'),
        ('silos', true, 'both', 0.03, 0, 100, 'people move between numbers of silos slowly; three in a hundred at once is a join'),
        ('seen_in', true, 'low', 0.03, 0, 100, 'as for silos'),
        ('reachable', true, 'low', 0.02, 0, 100, 'people do not lose their addresses in a night; two in a hundred is a lost column or consent feed'),
        ('join_key_carried', true, 'low', 0.05, 0, 20, 'a key that records stop carrying, or carry in another form'),
        ('join_key_joined', true, 'low', 0.05, 0, 20, 'a key that is carried and meets nothing any more'),
        ('test_accounts', true, 'high', 0.05, 0, 20, 'a test environment''s export comes in thousands, not in twos'),
        ('links_dropped', true, 'high', 0.02, 0.5, 100, 'half as much again as usual, and at least two links in a hundred'),
        ('hubs', false, 'high', 5, 0.5, 0, 'five more identifiers that touch too many than usual'),
        ('moved', true, 'high', 0.01, 0, 100, 'identifiers that changed hands; merges are not counted'),
        ('recycled', true, 'high', 0.002, 0, 100, 'a source that gives old ids to new people'),
        ('over_merge', false, 'high', 0, 0.5, 0, 'half as large again as usual: strangers were glued together'),
        ('under_merge', true, 'high', 0.02, 0, 100, 'people that fall apart when a link is lost'),
        ('component_sizes', true, 'both', 0.03, 0, 100, 'as for silos'),
        ('bridges', true, 'both', 0.05, 0, 100, 'a class of evidence that appears or disappears'),
        ('duplicated', true, 'high', 0.05, 0.5, 100, 'a delivery that came twice'),
        ('outdated', true, 'high', 0.05, 0.5, 100, 'an entity table that was written anew')

)

select
    metric,
    is_share,
    bad_side,
    smallest_change::double as smallest_change,
    smallest_ratio::double as smallest_ratio,
    min_n,
    why
from limits
