"""How vendors write addresses, and what two columns of them say together. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from drivers.modbus.pdu import Table

Counting = Literal["auto", "plain", "modicon"]
"""How 40001 is read: as the first holding register (modicon), as the address 40001 (plain), or by its column (auto)."""

MOST_REGISTERS: Final = 125
_DIGITS: Final = {Table.COIL: "0", Table.DISCRETE: "1", Table.INPUT: "3", Table.HOLDING: "4"}
_TABLES: Final = {digit: table for table, digit in _DIGITS.items()}
_PREFIXES: Final = {
    "hr": Table.HOLDING, "ir": Table.INPUT, "di": Table.DISCRETE, "%mw": Table.HOLDING, "mw": Table.HOLDING,
    "%m": Table.COIL, "co": Table.COIL, "%iw": Table.INPUT, "%qw": Table.HOLDING,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AddressNotation:
    """What the column of addresses as a whole says about each of them."""

    hexadecimal: bool = False
    """Its heading says so, or the letters among numbers of one length: 0010 is 16."""
    prefixed: bool = False
    """Tables are written 4x, 3x, 1x and 0x before the place in them: 0x0010 is a coil, and no hexadecimal number."""
    modicon: bool = True
    """40001 is the first holding register; False: it is the address 40001."""
    has_tables: bool = False
    """Some begin with 1, 3 or 4 as the notation of Modicon does, so that those with 0 are coils."""
    mixed: bool = False
    """40001 stands beside numbers such as 12, so that it could be either."""
    doubtful: bool = False
    """12 stands beside numbers such as 1A and F0, so that it could be 18."""

    @staticmethod
    def of(heading: str, cells: Iterable[str], counting: Counting = "auto") -> AddressNotation:
        """Look at the heading and at all the cells.

        Letters without a mark make the whole column hexadecimal; 40000, or numbers that begin with no table such as
        9000, say that all are addresses as they are.
        """
        words = [cell.strip().lower() for cell in cells]
        bare = [word for word in words if re.fullmatch(r"[0-9a-f]{1,5}", word)]
        lettered = [word for word in bare if re.search(r"[a-f]", word)]
        padded = len(bare) * 2 > len(words) and len({len(word) for word in bare}) == 1 and len(bare[0]) > 2
        hexadecimal = re.search(r"\bhex", heading.lower()) is not None or bool(lettered and padded)
        numbers = [match[0] for word in words if (match := re.match(r"\d{1,6}(?=$|[^\dxa-z])", word))]
        looks = [re.fullmatch(r"[0134]\d{4,5}", number) is not None and int(number[1:]) > 0 for number in numbers]
        plainly = any(not look and int(number) >= 10_000 for number, look in zip(numbers, looks, strict=True))
        modicon = counting == "modicon" or (counting == "auto" and not hexadecimal and not plainly)
        return AddressNotation(
            hexadecimal,
            any(re.match(r"[134]x\d{4,5}\b", word) for word in words),
            modicon=modicon,
            has_tables=counting == "modicon"
            or any(number[0] in "134" for number, look in zip(numbers, looks, strict=True) if look),
            mixed=modicon and counting == "auto" and any(looks) and not all(looks),
            doubtful=not hexadecimal and len(lettered) > 1,
        )


@dataclass(frozen=True, slots=True)
class Address:
    """What a cell says of a place."""

    number: int
    """As the vendor counts."""
    modicon: str | None = None
    """The one-based notation with the table as its first digit, where it is written so."""
    table: Table | None = None
    bit: int | None = None
    registers: int = 0
    """How many it is said to take; 0: not said."""
    elements: int = 0
    """Those of an array; 0: it is none."""
    characters: int = 0
    """Those of a text, as in "400200.16H"."""
    low_byte_first: bool = False
    """The bytes of each register of that text are exchanged."""

    @property
    def protocol(self) -> int | None:
        """The address of the protocol, counted from 0, where the notation says it."""
        return None if self.modicon is None else int(self.modicon[1:]) - 1


def address_of(text: str, table: Table | None, notation: AddressNotation) -> Address:
    """Read "40001", "4x0001", "0x0064", "0064h", "100-101", "100.3", "400100 [4]", "400200.16H" or "HR100".

    Raises `ValueError`.
    """
    plain = re.sub(r"\s+", " ", text.strip().lower())
    if match := re.fullmatch(r"(\S+) ?\[(\d{1,3})\]", plain):
        return replace(address_of(match[1], table, notation), elements=int(match[2]))
    if match := re.fullmatch(r"(\d+)\.(\d{1,3})([hl])", plain):
        first = address_of(match[1], table, notation)
        return replace(first, characters=int(match[2]), low_byte_first=match[3] == "l")
    if match := re.fullmatch(r"(\S+?) ?(?:-|\.\.+|/|,|\u2013|\u2026|\bto\b|\bbis\b|\u00e0) ?(\S+)", plain):
        first, last = (address_of(part, table, notation) for part in match.groups())
        taken = last.number - first.number + 1
        if not 1 <= taken <= MOST_REGISTERS or (first.modicon is None) is not (last.modicon is None):
            raise ValueError(f"{text!r} is no address and no range of addresses")
        return replace(first, registers=taken)
    plain = plain.replace(" ", "")
    if match := re.fullmatch(r"(\d+)[.:](\d\d?)", plain):
        if int(match[2]) > 15:
            raise ValueError(f"{text!r} is no address: a register has the bits 0 to 15")
        return replace(address_of(match[1], table, notation), bit=int(match[2]))
    if notation.prefixed and (match := re.fullmatch(r"([0134])x(\d{4,5})", plain)):
        return _modicon(match[1] + match[2])
    if match := re.fullmatch(r"(?:0x|16#|&h|\$)([0-9a-f]{1,4})|([0-9a-f]{1,4})h", plain):
        return Address(int(match[1] or match[2], 16))
    if notation.hexadecimal and re.fullmatch(r"[0-9a-f]{1,4}", plain):
        return Address(int(plain, 16))
    if notation.doubtful and re.fullmatch(r"[0-9a-f]{1,4}", plain):
        raise ValueError(f"{text!r} could be hexadecimal, as others in its column are: write (hex) into the heading")
    if match := re.fullmatch(r"(%?[a-z]{1,2})(\d{1,5})", plain):
        if match[1] not in _PREFIXES:
            raise ValueError(f"{text!r} is no address")
        return Address(int(match[2]), table=_PREFIXES[match[1]])
    if not re.fullmatch(r"\d{1,6}", plain):
        raise ValueError(f"{text!r} is no address")
    if (
        re.fullmatch(r"[0134]\d{4,5}", plain)
        and int(plain[1:])
        and notation.modicon
        and (table is None or plain[0] == _DIGITS[table])
    ):
        if notation.mixed:
            raise ValueError(
                f"{plain} could be an address as it is, or the notation of Modicon ({_TABLES[plain[0]]} "
                f"{int(plain[1:]) - 1}), as other rows have small numbers: add --addresses plain or --addresses modicon"
            )
        return _modicon(plain)
    if int(plain) > 0xFFFF + 1:
        raise ValueError(f"{text!r} is no address: there are 65,536 of them")
    return Address(int(plain))


def _modicon(digits: str) -> Address:
    return Address(int(digits), digits, _TABLES[digits[0]])


def apart(addresses: Sequence[Address]) -> tuple[int, ...]:
    """How far the addresses of a row are from its first one, in the counting of the protocol where that is known."""
    first = next((address for address in addresses if address.modicon), addresses[0])
    begin = first.number if first.protocol is None else first.protocol
    return tuple(address.number - begin for address in addresses if address.number != first.number)


def agreed(addresses: Sequence[Address], base: int) -> tuple[Address, int | None]:
    """What the address columns of a row say together: the address, and its number in the protocol.

    Of two numbers that follow each other the smaller one is the protocol's own, counted from 0. The second value is
    None where the notation with the table says it. Raises `ValueError` where they disagree.
    """
    first = next((address for address in addresses if address.modicon), addresses[0])
    others = [address.number for address in addresses if address is not first]
    said = " and ".join(str(address.modicon or address.number) for address in addresses)
    if first.protocol is not None:
        if any(number not in {first.protocol, first.protocol + 1, first.number} for number in others):
            raise ValueError(f"its addresses {said} are not of one place: correct one, or leave out its column")
        return first, None
    numbers = {address.number for address in addresses}
    if len(numbers) == 1:
        return first, first.number - base
    if max(numbers) - min(numbers) != 1:
        raise ValueError(f"its addresses {said} are not of one place: correct one, or leave out its column")
    return first, min(numbers)
