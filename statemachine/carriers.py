"""The carriers usual on each country site (Koongo, "Allowed shipping services")."""

_EVERYWHERE = (
    "DPD",
    "UPS",
    "GLS",
    "DHL",
    "FedEx",
    "TNT",
    "Mondial Relay",
    "Chronopost",
    "Colissimo",
)
_OF_SITE = {
    "at": ("Österreichische Post",),
    "be": ("bpost", "PostNL"),
    "bg": ("Econt", "Speedy"),
    "ch": ("Swiss Post",),
    "cz": ("PPL", "Zásilkovna", "Česká pošta"),
    "de": ("Hermes", "Deutsche Post"),
    "dk": ("PostNord",),
    "es": ("Correos Express", "Correos", "SEUR", "MRW", "Nacex"),
    "fi": ("Posti", "Matkahuolto"),
    "gr": ("ACS", "ELTA", "Speedex"),
    "hr": ("Hrvatska pošta", "Overseas Express"),
    "hu": ("Magyar Posta", "Foxpost"),
    "it": ("BRT", "Poste Italiane", "SDA", "Nexive"),
    "nl": ("PostNL",),
    "pl": ("InPost", "Poczta Polska", "Pocztex"),
    "pt": ("CTT",),
    "ro": ("Fan Courier", "Cargus", "Sameday"),
    "se": ("PostNord", "Bring", "Budbee"),
    "sk": ("Packeta", "Slovenská pošta"),
    "uk": ("Royal Mail", "Evri", "Parcelforce", "Yodel"),
}


def usual_carriers(site: str) -> tuple[str, ...]:
    """The site's own carriers, and those that are found everywhere."""
    return (*_OF_SITE.get(site, ()), *_EVERYWHERE)
