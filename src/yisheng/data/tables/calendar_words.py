"""Names of months and weekdays, as dates in several languages have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_MONTH_NAMES = (
    "january february march april may june july august september october november december",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "jänner feber märz april mai juni juli august september oktober november dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "januari februari mars april maj juni juli augusti september oktober november december",
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь",
    "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
)
_SHORT_NAMES = (
    "jan feb mar apr may jun jul aug sep oct nov dec",
    "jan feb mrz apr mai jun jul aug sept okt nov dez",
    "janv févr mars avr mai juin juil août sept oct nov déc",
    "janv fevr mars avr mai juin juil aout sept oct nov dec",
    "ene feb mar abr may jun jul ago sept oct nov dic",
    "gen feb mar apr mag giu lug ago set ott nov dic",
    "jan fev mar abr mai jun jul ago set out nov dez",
    "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "янв фев мар апр май июн июл авг сен окт ноя дек",
    "янв февр мар апр мая июн июл авг сент окт нояб дек",
)
MONTHS: Final = {
    name: number for names in (*_MONTH_NAMES, *_SHORT_NAMES) for number, name in enumerate(names.split(), start=1)
}
"""Number of each month by its name, full or abbreviated, in small letters; no name means two months."""
WEEKDAYS: Final = tuple(
    name
    for names in (
        "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun",
        "montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do fr sa so",
        "lundi mardi mercredi jeudi vendredi samedi dimanche lun mar mer jeu ven sam dim",
        "lunes martes miércoles jueves viernes sábado domingo mié jue vie sáb dom",
        "lunedì martedì mercoledì giovedì venerdì sabato domenica gio sab",
        "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag ma wo vr za zo",
        "понедельник вторник среда четверг пятница суббота воскресенье пн вт ср чт пт сб вс",
    )
    for name in names.split()
)
"""Names of weekdays in small letters, which may be in front of a date."""


def with_capitals(words: Iterable[str]) -> list[str]:
    """Return words in small letters, and those with other letters than ASCII also capitalized and in capitals.

    A pattern of ASCII ignores the case of ASCII letters alone.

    >>> with_capitals(["mai", "août"])
    ['mai', 'août', 'Août', 'AOÛT']
    """
    spellings = ((word,) if word.isascii() else (word, word.capitalize(), word.upper()) for word in words)
    return list(dict.fromkeys(spelling for group in spellings for spelling in group))
