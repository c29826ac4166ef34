with

-- Strongest first: what only the person can do, what they proved, what they typed, what machines saw.
classes (evidence, evidence_rank, why) as (

    values
        ('signed_nonce', 1, 'the wallet''s key signed our challenge'),
        ('login', 2, 'the device or browser carried an authenticated account'),
        ('kyc', 3, 'a document was checked'),
        ('email', 4, 'the record carries the e-mail address'),
        ('phone', 5, 'the record carries the phone number; numbers are handed on to others'),
        ('deposit', 6, 'funds came from the wallet; an exchange''s wallet sends for everybody'),
        ('declared', 7, 'somebody said so, and nobody checked'),
        ('device', 8, 'a browser was seen on the device, nobody logged in')

)

select * from classes
