"""Invented customers and collection points. Nobody and no place of these exists.

Phone numbers are from the ranges kept for fiction, postcodes from a department that does not
exist, mail addresses from a domain kept for examples.
"""

from adapters.spartoo.simulator.orders import Party, Relay

_FIRST_NAMES = ("Zoé", "Gaël", "Noémie", "Anaïs", "Loïc", "Hélène", "Benoît", "Maëlle", "Cédric")
_LAST_NAMES = (
    "Dupré-Fictif",
    "L'Inventé",
    "Chênebœuf",
    "Tissandrelle",
    "de La Fable",
    "Mirobolançois",
    "Pantouflard",
)
_STREETS = ("rue des Essais", "allée du Gué", "avenue de l'Échantillon", "quai Modèle")
_CITIES = (
    ("99100", "Exempleville"),
    ("99210", "Saint-Modèle-sur-Essai"),
    ("99340", "Fictigny-lès-Forêts"),
    ("99480", "Bourg-l'Épreuve"),
)


def _person(number: int) -> Party:
    first = _FIRST_NAMES[number % len(_FIRST_NAMES)]
    postcode, city = _CITIES[number % len(_CITIES)]
    return Party(
        first_name=first,
        last_name=_LAST_NAMES[number % len(_LAST_NAMES)],
        street=f"{number + 1} {_STREETS[number // 4 % len(_STREETS)]}",
        suburb="Bâtiment B" if number % 5 == 0 else "",
        city=city,
        postcode=postcode,
        country="France",
        email=f"client{number:03d}@example.com",
        phone=f"06399800{number:02d}",
    )


_MARKUP_LIKE = Party(
    first_name="Inès <b>",
    last_name="O'Gras & Filles",
    street='3 impasse "Balise" </customers>',
    city="Exempleville",
    postcode="99100",
    country="France",
    email="ines@example.com",
    phone="0639980098",
)
_COMPANY = Party(
    first_name="Éric",
    last_name="Tissandrelle",
    company="Semelles & Lacets SARL",
    street="12 zone artisanale du Gué",
    suburb="Quai 4",
    city="Fictigny-lès-Forêts",
    postcode="99340",
    country="France",
    email="achats@example.com",
    phone="0199000099",
)

PEOPLE = (*map(_person, range(60)), _MARKUP_LIKE, _COMPANY)
RELAYS = (
    Relay("R0001", "MR", "Tabac de l'Écluse", "1 quai Modèle", "99100", "Exempleville", "FR"),
    Relay("R0002", "MR", "Fleurs & Pain", "8 rue des Essais", "99210", "Saint-Modèle", "FR"),
    Relay("R0003", "PR", "Épicerie du Bourg", "2 allée du Gué", "99480", "Bourg-l'Épreuve", "FR"),
)
