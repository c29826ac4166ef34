with

-- `anchor_priority`: of a person's identifiers the first by (priority, identifier) is what their key is made from. Ids that
-- a system gave come before what people type and pass on (e-mail addresses, phone numbers).
-- `backstitch_days`: how long before its first log-in a machine's anonymous history still counts for who logged in. 90 days: a quarter;
-- devices are sold, lent and inherited, and features look back no further than that but for offers made.
kinds (identifier_kind, anchor_priority, backstitch_days) as (

    values
        ('account_id', 1, null),
        ('contact_id', 2, null),
        ('device_id', 3, 90),
        ('anonymous_id', 4, 90),
        ('wallet', 5, null),
        ('email', 6, null),
        ('phone', 7, null)

)

select
    identifier_kind,
    anchor_priority,
    backstitch_days::integer as backstitch_days
from kinds
