"""The headings under which vendors put what a register is. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from drivers.modbus.vendor_types import plain

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": (
        "name", "tag", "tag name", "tagname", "parameter", "parameter name", "signal", "signal name", "variable",
        "variable name", "label", "designation", "register name", "measurand", "bezeichnung", "data point", "datapoint",
        "data name", "point name", "object name", "symbol", "item name", "register description", "nom", "libelle",
        "nombre", "nome", "variablenname", "parametername", "messgrosse", "messwert", "device function", "value name",
        "denomination", "grandeur", "title", "titel", "mnemonic", "parameter description", "quantity name",
    ),
    "address": (
        "address", "register", "reg", "addr", "register address", "modbus address", "modbus register", "start address",
        "start register", "register number", "register no", "register nr", "reg no", "reg nr", "reg number", "adresse",
        "registeradresse", "modbus adresse", "modbusadresse", "registernummer", "pdu address", "protocol address",
        "data address", "register addr", "adresse modbus", "adresse registre", "registre", "direccion", "registro",
        "indirizzo", "direccion modbus", "address offset", "modbus reg", "first register", "holding register",
        "starting address", "register start", "start reg", "relative address", "modbus relative address",
        "absolute address", "modbus absolute address", "modicom address", "physical address",
        "modbus register address", "modbus address space", "mb address",
        "plc address", "register id", "modicon address", "modbus addr", "modbus no", "startadresse", "startregister",
    ),
    "table": (
        "table", "function", "fc", "register type", "area", "object", "object type", "kind", "function code",
        "modbus function", "funktion", "funktionscode", "function codes", "fcode", "modbus table", "register kind",
        "registertyp", "modbus fc", "modbus function code", "memory area", "code fonction", "fonction", "funcion",
        "modbus object", "modbus type", "data model", "point type", "registerart",
    ),
    "type": (
        "type", "data type", "datatype", "format", "data format", "datentyp", "encoding", "datenformat", "variablentyp",
        "variable type", "parameter type", "value type", "type de donnees", "type de donnee", "tipo", "tipo de dato",
        "tipo de datos", "tipo dato", "typ", "number format", "zahlenformat", "dataformat", "storage type", "var type",
        "representation", "data representation", "register format", "modbus data type", "item type", "numeric format",
        "formato", "formato dato", "signal type", "value format",
    ),
    "sign": ("sign", "signed", "signed unsigned", "signedness", "vorzeichen", "signe", "signo", "is signed"),
    "unit": (
        "unit", "units", "einheit", "uom", "engineering unit", "engineering units", "eng unit", "eng units", "unite",
        "unidad", "unita", "measurement unit", "measuring unit", "einheiten", "unidades", "physical unit", "dbus unit",
        "unit of measure", "unit of measurement", "masseinheit", "si unit",
    ),
    "scale": (
        "scale", "factor", "gain", "scaling", "scale factor", "scalefactor", "faktor", "skalierung", "scaling factor",
        "skalierungsfaktor", "facteur", "facteur d echelle", "echelle", "factor de escala", "escala", "fattore",
        "fattore di scala", "conversion", "conversion factor", "umrechnung", "umrechnungsfaktor", "coefficient",
        "conv factor",
        "magnification", "coef", "ratio", "umrechnungs faktor",
    ),
    "multiplier": (
        "multiplier", "resolution", "step", "multiplikator", "auflosung", "multiply by", "multiply", "lsb", "precision",
        "multiplicateur", "multiplicador", "moltiplicatore", "weight", "increment", "resolucion", "risoluzione",
        "schrittweite", "granularity", "lsb value", "bit value", "wertigkeit", "res",
    ),
    "divisor": ("divisor", "divider", "teiler", "divide by", "div", "diviseur", "divisore"),
    "decimals": (
        "decimals", "decimal places", "decimal", "decimal point", "decimal point position", "nachkommastellen",
        "kommastellen", "dezimalstellen", "dp", "digits after point", "no of decimals", "decimales", "decimali",
        "number of decimals", "exponent of ten",
    ),
    "exponent": ("exponent", "power of ten", "sf", "10 exponent", "potenz"),
    "offset": ("offset", "value offset", "zero offset", "additive offset", "versatz", "nullpunkt"),
    "raw low": ("raw low", "raw min", "raw minimum", "rawlow", "raw lo"),
    "raw high": ("raw high", "raw max", "raw maximum", "rawhigh", "raw hi"),
    "scaled low": ("scaled low", "eng low", "engineering low", "eu low", "scaled min", "eng min", "engineering min"),
    "scaled high": ("scaled high", "eng high", "engineering high", "eu high", "scaled max", "eng max",
                    "engineering max"),
    "clamp low": ("clamp low",),
    "clamp high": ("clamp high",),
    "negate": ("negate value", "negate", "invert", "inverted"),
    "length": (
        "length", "size", "words", "registers", "count", "number of registers", "no of registers", "regs", "quantity",
        "register count", "num registers", "data length", "lange", "anzahl", "anzahl register", "registeranzahl",
        "longueur", "taille", "longitud", "lunghezza", "word count", "number of words", "no of words", "bytes", "bits",
        "data size", "size bits", "size bytes", "bit length", "byte length", "len", "nb registers", "qty",
        "number of contiguous registers", "breite",
        "groesse", "grosse", "number of bytes", "nombre de registres", "width", "reg count", "register size",
    ),
    "bit": ("bit", "bit no", "bit number", "bit position", "bitnummer", "bit nr"),
    "word order": ("word order", "word swap", "words order", "wortreihenfolge", "register order", "word sequence"),
    "byte order": (
        "byte order", "endianness", "endian", "byte swap", "bytereihenfolge", "order", "byte sequence", "reihenfolge",
        "ordre des octets", "byte word order", "word byte order", "endianess", "swap",
    ),
    "access": (
        "access", "r w", "rw", "mode", "read write", "access rights", "zugriff", "client access", "access type",
        "access mode", "permission", "permissions", "writable", "writeable", "acces", "acceso", "accesso", "r o r w",
        "lesen schreiben", "read only", "attribute", "lecture ecriture", "l e", "property", "rights", "zugriffsrecht",
        "access right", "type of access", "direction", "write access",
    ),
    "min": ("min", "minimum", "min value", "low limit", "lower limit", "minimum value", "minimalwert", "valor minimo",
            "limit low", "lower range", "min wert", "valeur min"),
    "max": ("max", "maximum", "max value", "high limit", "upper limit", "maximum value", "maximalwert", "valor maximo",
            "limit high", "upper range", "max wert", "valeur max"),
    "range": ("range", "value range", "bereich", "wertebereich", "scope", "valid range", "plage", "rango", "limits",
              "data range", "messbereich", "setting range", "plage de valeurs"),
    "choices": ("values", "options", "enumeration", "enum", "enum values", "selection", "auswahl", "states", "coding",
                "value description", "possible values", "werte", "valeurs", "valores", "allowed values", "enumerations",
                "value mapping", "value table", "selection user entry",
                "selection user entry user interface", "wertetabelle"),
    "device id": ("unit id", "slave id", "device id", "slave address", "slave", "unit identifier", "node id", "node",
                  "station", "slaveid", "unitid", "modbus id", "server id", "slave number", "geratead resse"),
    "description": ("description", "comment", "comments", "remark", "remarks", "notes", "note", "meaning",
                    "beschreibung", "bemerkung", "bemerkungen", "kommentar", "descripcion", "descrizione",
                    "commentaire", "remarque", "explanation", "details", "hint", "info", "text", "additional info",
                    "erlauterung", "hinweis"),
}  # fmt: skip
"""Role -> the headings under which vendors put it, as `plain` spells them."""

LONGEST_HEADING: Final = 200
"""A line with a longer cell names no columns."""
ROLES: Final = (*COLUMNS, "ignore")
_ROLES: Final = {words: role for role, headings in reversed(COLUMNS.items()) for words in headings}
"""Heading -> role, the first one where two have it."""

NAMES_OTHERWISE: Final = ("description", "function", "object", "measurement", "content", "quantity", "value", "item",
                           "channel", "text", "funktion", "register", "beschreibung")  # fmt: skip
"""Headings that name the rows where no column of names is there, the likeliest first."""
ADDRESSES_OTHERWISE: Final = ("number", "no", "nr", "start", "dec", "decimal", "hex", "hexadecimal", "index",
                               "offset", "nummer", "numero", "id")  # fmt: skip
"""Headings that are addresses where no other column is."""
NEUTRAL: Final = frozenset(
    (
        "respect data type",
        "scaled data type",
        "scaled units",
        "scan rate",
        "dbus service name",
        "dbus obj path",
    )
)
"""Headings of columns that say nothing of what a register means, whatever they hold."""
HARMLESS: Final = re.compile(
    r"(?:factory|default|initial)(?: (?:value|setting|settings))?|werkseinstellung|standardwert|default wert|"
    r"group|category|section|chapter|page|item|version|model|"
    r"example|since|status|available|visible|kategorie|gruppe|seite|beispiel|no|nr|number|index|id|pos|position|#|line|"
    r"valeur par defaut|valor por defecto|defaultwert|standard|menu|navigation|path"
)
"""Headings of columns that say nothing of what a register means, unless they hold types, factors or orders."""
COULD_DECIDE: Final = re.compile(
    r"typ|format|scal|skal|factor|faktor|factur|gain|divi|teiler|multipl|order|endian|swap|sign|vorzeichen|addr|adress|"
    r"regist|offset|decimal|dezimal|resol|auflos|expon|resolut|unit|einheit|words?\b|length|size|conver|umrech|function|"
    r"funktion|table|bits?\b|bytes?\b|encod|repres|escala|echelle|tipo|negat|invert|hex|base|coeff"
)


def heading_words(heading: str) -> str:
    """A heading as it is looked up: "Adresse (hex)" is "adresse hex"."""
    return " ".join(re.sub(r"[\s_\-.:()\[\]/#,'\"]+", " ", plain(heading)).split())


def without_brackets(heading: str) -> str:
    """A heading without what stands in brackets: "Adresse (hex)" is "adresse"."""
    return heading_words(re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", heading))


def role_of(heading: str) -> str | None:
    """What a column of this heading holds, by its words alone."""
    bare = without_brackets(heading)
    if bare in NEUTRAL:
        return None
    for words in (heading_words(heading), bare):
        role = _ROLES.get(words) or _ROLES.get(re.sub(r" (?:hex|dec|decimal)$", "", words))
        if role is not None:
            return role
    return "name" if re.search(r" (?:parameter|name|bezeichnung)$", bare) else None


def is_heading(cells: Sequence[str]) -> bool:
    """Whether a line names the columns of a table of registers."""
    filled = [cell for cell in cells if cell]
    if (
        len(filled) < 2
        or any(len(cell) > LONGEST_HEADING for cell in filled)
        or not any(role_of(cell) for cell in filled)
    ):
        return False
    roles = {role_of(cell) for cell in filled}
    words = {without_brackets(cell) for cell in filled}
    has_address = "address" in roles or (len(roles - {None}) > 1 and not words.isdisjoint(ADDRESSES_OTHERWISE))
    return has_address and ("name" in roles or not words.isdisjoint(NAMES_OTHERWISE))
