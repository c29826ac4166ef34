with

-- An identifier of `identifier_kind` that meets more than `max_others` identifiers of `other_kind` is a hub and links nothing.
limits (identifier_kind, other_kind, max_others, why) as (

    values
        ('device_id', 'account_id', {{ var('identity_max_accounts_per_device', 1) }},
            'two accounts on one device are as often a family as one person; over-merging leaks consent'),
        ('device_id', 'anonymous_id', {{ var('identity_max_anonymous_ids_per_device', 50) }},
            'a browser that forgets its cookie weekly has 50 a year; more is a public machine'),
        ('device_id', 'wallet', {{ var('identity_max_wallets_per_device', 20) }},
            'collectors hold a dozen; more is a farm'),
        ('anonymous_id', 'account_id', {{ var('identity_max_accounts_per_anonymous_id', 1) }},
            'a browser profile two accounts log in from is shared'),
        ('anonymous_id', 'device_id', {{ var('identity_max_devices_per_anonymous_id', 3) }},
            'an anonymous id lives on one device; a restored backup makes it two or three'),
        ('anonymous_id', 'email', {{ var('identity_max_emails_per_anonymous_id', 1) }},
            'a browser that answers surveys under two addresses is shared'),
        ('wallet', 'account_id', {{ var('identity_max_accounts_per_wallet', 1) }},
            'an exchange''s hot wallet funds thousands of accounts; two are already not one owner'),
        ('wallet', 'device_id', {{ var('identity_max_devices_per_wallet', 5) }},
            'one owner signs from a handful of devices'),
        ('email', 'account_id', {{ var('identity_max_accounts_per_email', 2) }},
            'one person opens a second account; a third is a family or a farm'),
        ('email', 'contact_id', {{ var('identity_max_contacts_per_email', 4) }},
            'a CRM keeps a few duplicates of one person; more is a shared mailbox'),
        ('email', 'anonymous_id', {{ var('identity_max_anonymous_ids_per_email', 50) }},
            'as many browsers as a device may have seen'),
        ('phone', 'account_id', {{ var('identity_max_accounts_per_phone', 2) }},
            'as for e-mail; numbers are also handed on'),
        ('phone', 'contact_id', {{ var('identity_max_contacts_per_phone', 4) }},
            'as for e-mail'),
        ('contact_id', 'account_id', {{ var('identity_max_accounts_per_contact', 2) }},
            'the CRM joins a contact to the accounts of one person, who has two at most by the rule for e-mail'),
        ('account_id', 'device_id', {{ var('identity_max_devices_per_account', 50) }},
            'five devices a year for ten years; more is a QA account or a bot'),
        ('account_id', 'anonymous_id', {{ var('identity_max_anonymous_ids_per_account', 200) }},
            'a new browser profile every other day of a year'),
        ('account_id', 'wallet', {{ var('identity_max_wallets_per_account', 50) }},
            'collectors hold a dozen; more is a service'),
        ('account_id', 'contact_id', {{ var('identity_max_contacts_per_account', 4) }},
            'a CRM keeps a few duplicates of one person')

)

select * from limits
