with

-- Strongest first: what an operator decided, what only the person can do, what they proved, what they typed, what machines saw.
-- `match_probability`: how often two identifiers tied by nothing better are one person's. Judgement, on the low side; on made-up shops
-- `python -m benchmarks.identity_truth` holds each class to it.
-- Over a weak link a restriction passes, a permission does not (policy 5.2), and nobody is found by what hangs on one.
classes (evidence, evidence_rank, match_probability, is_weak, why) as (

    values
        ('operator', 1, 1.0, false, 'somebody looked at it and signed for it'),
        ('signed_nonce', 2, 0.9999, false, 'the wallet''s key signed our challenge'),
        ('login', 3, 0.999, false, 'the device or browser carried an authenticated account'),
        ('kyc', 4, 0.999, false, 'a document was checked'),
        ('email', 5, 0.995, false, 'the record carries the e-mail address'),
        ('phone', 6, 0.98, false, 'the record carries the phone number; numbers are handed on to others'),
        ('deposit', 7, 0.95, false, 'funds came from the wallet; an exchange''s wallet sends for everybody'),
        ('declared', 8, 0.95, false, 'somebody said so, and nobody checked'),
        ('device', 9, 0.9, false, 'a browser was seen on the device, nobody logged in'),
        ('probabilistic', 10, 0.95, true, 'name and address are alike, as those of one person are and those of strangers are not')

),

typed as (

    select
        evidence,
        evidence_rank,
        match_probability::double as match_probability,
        is_weak,
        why

    from classes

)

select * from typed
