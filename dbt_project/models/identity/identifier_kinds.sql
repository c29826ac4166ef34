with

-- `anchor_priority`: of a person's identifiers the first by (priority, identifier) is what their key is made from. Ids that
-- a system gave come before what people type and pass on (e-mail addresses, phone numbers).
kinds (identifier_kind, anchor_priority) as (

    values
        ('account_id', 1),
        ('contact_id', 2),
        ('device_id', 3),
        ('anonymous_id', 4),
        ('wallet', 5),
        ('email', 6),
        ('phone', 7)

)

select * from kinds
