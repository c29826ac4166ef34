with

-- Strongest first: what an operator decided, what only the person can do, what they proved, what they typed, what machines saw.
-- `match_probability`: how often two identifiers tied by nothing better are one person's. Judgement, on the low side, until links of
-- each class are counted against a truth.
classes (evidence, evidence_rank, match_probability, why) as (

    values
        ('operator', 1, 1.0, 'somebody looked at it and signed for it'),
        ('signed_nonce', 2, 0.9999, 'the wallet''s key signed our challenge'),
        ('login', 3, 0.999, 'the device or browser carried an authenticated account'),
        ('kyc', 4, 0.999, 'a document was checked'),
        ('email', 5, 0.995, 'the record carries the e-mail address'),
        ('phone', 6, 0.98, 'the record carries the phone number; numbers are handed on to others'),
        ('deposit', 7, 0.95, 'funds came from the wallet; an exchange''s wallet sends for everybody'),
        ('declared', 8, 0.95, 'somebody said so, and nobody checked'),
        ('device', 9, 0.9, 'a browser was seen on the device, nobody logged in')

),

typed as (

    select
        evidence,
        evidence_rank,
        match_probability::double as match_probability,
        why

    from classes

)

select * from typed
