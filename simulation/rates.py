"""Every planted rate of the made-up shop, with the reason for its size. Shares are of people unless a line says otherwise."""

# --- size ------------------------------------------------------------------------------------------------------------
HISTORY_DAYS = 180  # sparse past: long enough that somebody can be experienced (> 180 d) or dormant (> 90 d quiet)
PRICE_DAYS = 400  # hourly bars: a year of volatility quantiles and a month to spare
CHUNK_PEOPLE = 100_000  # one chunk is about 4 M events, 2 GB at its widest; a million people run in ten chunks
SESSIONS_PER_DAY = 0.085  # mean of the active; with 5.2 events a session and copies it gives about 40 events in 60 days
SESSION_TAIL_SIGMA = 1.1  # lognormal: the top 10 % of people make about half of the events, as in web logs
EVENTS_PER_SESSION = 5.2
HISTORY_SESSION_SCALE = 0.10  # analytics kept only a sample before the event-rich days
HISTORY_USE_SCALE = 0.65  # somewhat fewer trades before: the shop grew
DORMANT_SHARE_OF_RATE = 0.02  # the dormant still do this much of what they did; most of them nothing in 90 days
HABIT_TRADES, OTHER_TRADES = (
    2.6,
    0.5,
)  # further trades after a use that is a trade: 20 trades in 8 months make somebody experienced
FUNDED_SHARE = 0.95  # of account holders beyond prospects: one deposit when they join, or early in the history

# --- duplicated or outdated ------------------------------------------------------------------------------------------
# Counted over all rows of events, trades, ledger entries and transfers: a row that is one more copy of an id that is
# already there. 0.40 copies a row are 0.40 / 1.40 = 28.6 % of rows; superseded versions of accounts, contacts, KYC
# records and messages (counted over their own rows) bring the total over activity and entities to about 30 %.
COPIES_PER_ROW = 0.42
NEAR_COPY_SHARE = 0.4  # of copied events: same event_id, another received_at; the rest are exact repeats
ACCOUNT_VERSIONS_EXTRA = 0.30
CONTACT_VERSIONS_EXTRA = 0.30
LATE_HOURS_SHARE = 0.06  # of events and trades: known hours after they happened (phones without a network)
LATE_DAYS_SHARE = 0.012  # known one to three days after

# --- identity --------------------------------------------------------------------------------------------------------
SHARED_SHARE = (
    0.215  # pairs drawn; about 16.5 % share a device or a family e-mail once split people are left out. At least 15 % wanted
)
SPLIT_SHARE = 0.115  # at least one silo has no identifier in common with any other: 10 % wanted
NO_ACCOUNT_SHARE = 0.06  # prospects known to CRM or to a device only
CONTACT_SHARE = 0.85  # of account holders: in CRM
SECOND_ACCOUNT_SHARE = 0.03
WALLET_SHARE = 0.35
SECOND_DEVICE_SHARE = 0.35
RECYCLED_PHONE_SHARE = 0.006  # the number of somebody else's closed account
MIXED_CASE_SHARE = 0.15  # of e-mails, of each silo
MALFORMED_EMAIL_SHARE = 0.015
MALFORMED_PHONE_SHARE = 0.02
DISPOSABLE_EMAIL_SHARE = 0.006  # of people: an address of a throw-away service; sign-ups for a bonus bring a percent or so
ROLE_EMAIL_SHARE = 0.006  # of people: info@ or office@ of a firm of their own
CHECKSUM_WALLET_SHARE = 0.01  # of wallet links: written as wallets show them, with ERC-55's capitals
WRONG_CHECKSUM_SHARE = 0.005  # of wallet links: the same with one letter's case typed wrong
OTHER_WALLET_SHARE = 0.01  # of people with a wallet, each: a second one on Bitcoin (Bech32), on Solana (Base58)
PLACEHOLDER_BIRTH_SHARE = 0.007  # of accounts: the date is a form's or an export's default
CRM_POSTAL_STALE_SHARE = 0.10  # of contacts: an address they have left (a tenth of households move in a year)
CRM_POSTAL_MISSING_SHARE = 0.04
# Of contacts, how the name was typed: a sales desk writes initials, an import turns names around, somebody drops a letter.
CRM_NAMES = {"full": 0.58, "initial": 0.34, "turned": 0.04, "mistyped": 0.04}
NATIONAL_PHONE_SHARE = 0.15  # of CRM phones: written without the country prefix
HUB_LINKS = 5000  # accounts at the hot wallet, at the library's device, devices at the QA account (fewer when people are fewer)
TEST_SHARE = 0.005  # staff and test accounts (is_test or a test e-mail domain)
CLOSED_SHARE = 0.02
NEVER_LOGGED_IN_WEB = 0.25  # of sessions: no account_id

# --- machines and noise ----------------------------------------------------------------------------------------------
BOTS_PER_PERSON = 0.004
DECLARED_BOT_SHARE = 0.5  # of bots: their user agent says so
SLOW_BOT_SHARE = 0.2  # of bots: stay under any rate limit (one event an hour at most)
FAST_BOT_EVENTS = 420  # in 60 days; makes machines about 4 % of events, as a shop behind a CDN sees
SLOW_BOT_EVENTS = 60
DEAD_SESSION_SHARE = 0.02  # of sessions: a start and nothing more, or heartbeats for days
ENDLESS_SHARE = 0.05  # of dead sessions
ENDLESS_HEARTBEATS = 150
WASH_SHARE = 0.002  # of accounts: buy and sell the same amount within minutes, again and again
WASH_LOOPS = 12
TESTNET_SHARE = 0.04  # of wallets

# --- compliance ------------------------------------------------------------------------------------------------------
KYC_TIERS = (0.06, 0.26, 0.68)  # 0, 1, 2
KYC_STATUS = {"verified": 0.90, "pending": 0.045, "rejected": 0.02, "expired": 0.035}
KYC_PAST_EXPIRY_SHARE = 0.03  # verified, but expires_at has passed
KYC_EXPIRES_SOON_SHARE = 0.03
KYC_MISSING_SHARE = 0.02
BIRTH_DATE_MISSING_SHARE = 0.015
MINOR_SHARE = 0.004
PEP_SHARE = 0.006
KYC_GAP_SHARE = 0.003  # of records, each: no nationality, no word on public office, no AML band
RISK_BANDS = {"low": 0.72, "medium": 0.22, "high": 0.05, "prohibited": 0.01}
PROFESSIONAL_SHARE = 0.02
HIT_POTENTIAL_SHARE = 0.004  # of accounts; stays in every daily run until cleared
HIT_CONFIRMED_SHARE = 0.001
WALLET_HIT_SHARE = 0.003  # of wallets
COUNTRY_MISSING_SHARE = 0.01
COUNTRY_MALFORMED_SHARE = 0.004
TIME_ZONE_BAD_SHARE = 0.015
MOVES_SHARE = 0.02  # pending_country first, the change weeks later
RESTRICTIONS = {  # of people, each kind; small, but seen even at 5,000 people
    "fincrime_hold": 0.006,
    "adverse_media": 0.004,
    "self_exclusion": 0.007,
    "vulnerable": 0.008,
    "harm_signal": 0.005,
    "minor_signal": 0.003,
    "erasure": 0.004,
    "objection": 0.01,
    "profiling_objection": 0.007,
    "do_not_contact": 0.006,
    "embargo": 0.0,  # residents of Iran only
}
RESTRICTION_RESOLVED_SHARE = 0.2
RESTRICTION_ENDED_SHARE = 0.1
CONSENT = {  # channel: granted, denied, granted and later withdrawn; the rest never answered
    "email": (0.60, 0.12, 0.06),
    "sms": (0.35, 0.20, 0.04),
    "push": (0.45, 0.15, 0.05),
    "chat": (0.40, 0.10, 0.02),
}
THIRD_PARTY = (0.30, 0.15)  # granted, denied
SHARING_TAKEN_BACK_SHARE = 0.3  # of those who said anything about sharing: the opposite later
GPC_SHARE = 0.06  # of people in the US: a browser that signals it (Brave, Firefox or an extension)
SALE_DENIED_SHARE = 0.03
GLBA_SHARE = 0.04
PROFILING_GRANTED, PROFILING_DENIED = 0.75, 0.04
TELEMARKETING_SHARE = 0.25
SOFT_OPT_IN_SHARE = 0.15
PERSONALISATION_OFF_SHARE = 0.015
RISK_PROFILE_SHARE = 0.88
APPROPRIATENESS_SHARE = {  # of account holders, per product line that asks for it
    "spot": 0.80, "staking": 0.60, "nft": 0.45, "earn_yield": 0.50, "borrow": 0.45, "defi": 0.40, "derivatives": 0.45,
}  # fmt: skip
APPROPRIATENESS_PASSED = 0.86
EDD_SHARE, EDD_WATCHED_SHARE, EDD_APPROVED = (
    0.02,
    0.7,
    0.85,
)  # of accounts; of those in countries that FATF lists; of those examined
TRAVEL_RULE_SHARE, TRAVEL_RULE_VERIFIED = 0.85, 0.94
TRUST_SHARE = 0.93  # of accounts: scored, and again every twentieth day or so
TRUST_UNREADABLE_SHARE, TRUST_OLD_SHARE = 0.01, 0.03
RESCORED_AFTER_DAYS = 25  # trust and the AML band are looked at anew, before 30 days make them stale

# --- past offers -----------------------------------------------------------------------------------------------------
OFFERS_PER_PERSON = 7.0  # in 60 days, at most one a day
HELD_OUT_SHARE = 0.30
CHANNELS = {"web": 0.36, "app": 0.28, "email": 0.16, "push": 0.10, "sms": 0.05, "chatbot": 0.05}
OUTCOME_DAYS = 7
MEAN_P_HELD_OUT = 0.075  # organic rate of a product line's use within a week, over account holders
MEAN_UPLIFT = 0.066  # of those who can be persuaded; about 0.03 over all
ANNOYED_SHARE = 0.08  # an offer makes them less likely: half of their organic uses do not happen
CLICK_BASE = 0.05
SURVEY_SHARE = 0.05  # of shown offers
STANDING_SURVEY_SHARE = 0.12  # of account holders answer the quarterly survey in 60 days, whatever they were offered

# --- days that respond() adds ----------------------------------------------------------------------------------------
WITHDRAWALS_A_DAY = 0.0008  # of contacts: e-mail consent withdrawn
RESTRICTIONS_A_DAY = 0.0004  # of account holders: a new open restriction of any kind
MARKET_HOURS = {  # what a coin's price does in an hour of such a day: mean and deviation of its logarithm
    "calm": (0.0, 0.005),
    "crash": (
        -0.009,
        0.022,
    ),  # a fifth lost in a day, as on 2020-03-12 or 2021-05-19; two days pass the drawdown that counts as stress
    "recovery": (0.0022, 0.008),  # back within eight days, still shaking
}
