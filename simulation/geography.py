"""Where the made-up customers live, and how their names, phones and addresses look. Invented, plausible, not from any list of people."""

# market: weight, country, region, time zone, language, phone prefix (a mobile range that is valid), size of the number range
MARKETS = [
    ("GB", 20.0, "GB", None, "Europe/London", "en-GB", "+4477", 8),
    ("DE", 12.0, "DE", None, "Europe/Berlin", "de-DE", "+49151", 8),
    ("FR", 8.0, "FR", None, "Europe/Paris", "fr-FR", "+336", 8),
    ("US-NY", 6.0, "US", "US-NY", "America/New_York", "en-US", "+19172", 6),
    ("US-TX", 8.0, "US", "US-TX", "America/Chicago", "en-US", "+15122", 6),
    ("US-CA", 8.0, "US", "US-CA", "America/Los_Angeles", "en-US", "+14152", 6),
    ("US-FL", 6.0, "US", "US-FL", "America/New_York", "en-US", "+13052", 6),
    ("SG", 6.0, "SG", None, "Asia/Singapore", "en-SG", "+6591", 6),
    ("HK", 4.0, "HK", None, "Asia/Hong_Kong", "en-HK", "+85291", 6),
    ("AU", 6.0, "AU", None, "Australia/Sydney", "en-AU", "+6141", 7),
    ("CA-ON", 4.0, "CA", "CA-ON", "America/Toronto", "en-CA", "+14162", 6),
    ("IN", 6.0, "IN", None, "Asia/Kolkata", "en-IN", "+9198", 8),
    ("AE-DU", 3.0, "AE", "AE-DU", "Asia/Dubai", "en-AE", "+97150", 7),
    ("VN", 0.8, "VN", None, "Asia/Ho_Chi_Minh", "vi-VN", "+8490", 7),
    ("MM", 0.4, "MM", None, "Asia/Yangon", "en-GB", "+95977", 7),
    ("IR", 0.3, "IR", None, "Asia/Tehran", "en-GB", "+98912", 7),
    ("BR", 1.5, "BR", None, "America/Sao_Paulo", "pt-BR", "+55119", 8),
]
ENTITIES = {"GB": "ent-uk", "DE": "ent-ie", "FR": "ent-ie", "US": "ent-us", "SG": "ent-sg", "HK": "ent-hk", "AU": "ent-au",
            "CA": "ent-ca", "IN": "ent-in", "AE": "ent-ae"}  # fmt: skip

FIRST_NAMES = [
    "Ada", "Alba", "Amara", "Anil", "Anya", "Arlo", "Asha", "Aya", "Ben", "Bo", "Cai", "Carla", "Chen", "Clara", "Dana",
    "Dev", "Dina", "Ebba", "Eli", "Elsa", "Emre", "Esra", "Eva", "Femi", "Finn", "Gita", "Hana", "Hugo", "Ida", "Ilse",
    "Imran", "Ines", "Ivo", "Jana", "Jin", "Joao", "Jonas", "Juno", "Kai", "Karim", "Kira", "Lars", "Lea", "Lena", "Leo",
    "Lin", "Luca", "Maja", "Mara", "Mei", "Milo", "Mina", "Nadia", "Nico", "Nils", "Nina", "Noor", "Ola", "Omar", "Oona",
    "Paul", "Pia", "Priya", "Quinn", "Rafa", "Ravi", "Rosa", "Ruth", "Sami", "Sara", "Sven", "Tara", "Theo", "Tia", "Uma",
    "Vera", "Wei", "Yara", "Yusuf", "Zoe",
]  # fmt: skip
LAST_NAMES = [
    "Abbot", "Achebe", "Adler", "Ahmed", "Almeida", "Anders", "Bakker", "Banks", "Bauer", "Becker", "Bell", "Berg", "Blanc",
    "Bose", "Boyd", "Braun", "Brook", "Castro", "Chan", "Chowdhury", "Clarke", "Cole", "Costa", "Cruz", "Dale", "Das",
    "Diaz", "Dietz", "Drake", "Dubois", "Egan", "Eriksen", "Farah", "Faure", "Fischer", "Fox", "Frank", "Garcia", "Ghosh",
    "Gray", "Gupta", "Haas", "Hall", "Hansen", "Hart", "Hassan", "Hill", "Ho", "Huber", "Iqbal", "Ivanov", "Jain", "James",
    "Jensen", "Kaur", "Keller", "Khan", "Kim", "Klein", "Koch", "Kumar", "Lam", "Lane", "Lang", "Laurent", "Lee", "Lim",
    "Lopez", "Lund", "Mann", "Marsh", "Martin", "Mehta", "Meyer", "Mills", "Moore", "Moreau", "Nair", "Ng", "Nguyen",
    "Novak", "Olsen", "Ortiz", "Park", "Patel", "Pham", "Quist", "Rao", "Reed", "Reyes", "Ricci", "Rossi", "Roy", "Sato",
    "Schmidt", "Shah", "Silva", "Singh", "Sousa", "Stone", "Tan", "Torres", "Tran", "Vega", "Wagner", "Walsh", "Weber",
    "Wolf", "Wong", "Wood", "Yang", "Young", "Zhang",
]  # fmt: skip
EMAIL_DOMAINS = ["mail.example", "post.example", "inbox.example", "quick.example.org", "letters.example.net", "box.example.com"]
DISPOSABLE_DOMAINS = ["mailinator.com", "yopmail.com", "guerrillamail.com", "sharklasers.com"]
ROLES = ["info", "office", "sales", "contact"]
TEST_DOMAIN = "qa.shop.test"

HUMAN_AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "ShopApp/6.2 (iOS 17.6)",
    "ShopApp/6.2 (Android 14)",
]
BOT_AGENTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "python-requests/2.32.3",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "curl/8.9.1",
]
ASSETS = ["BTC", "ETH", "SOL", "USDC", "LINK", "MATIC"]
