"""Files that are no UOD, or that are made to harm: each is named for what it is, at once, and with a way out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.uod.faults import Severity
from engine.uod.reader import read_uod
from engine.uod.uod_file import MAX_BYTES, UodFileError, text_of

SOUND = "uod: Sound\ndevices: {a: {driver: simulated}}\n"


def told(path: Path) -> list[str]:
    """The faults without the folder of their file."""
    reading = read_uod(path)
    assert (reading.skid is None) == bool(reading.errors)
    return [str(replace(fault, file=Path(fault.file).name)) for fault in reading.faults]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "u.yaml: error: this file is empty; start with `uod: NAME OF THE SKID`"),
        (b"# later\n", "u.yaml: error: there are only comments in this file; start with `uod: NAME OF THE SKID`"),
        (
            b"PK\x03\x04......",
            "u.yaml: error: this is a spreadsheet, a document or an archive, and not a text; save it",
        ),
        (bytes(range(256)), "u.yaml: error: this is not a text: it holds zero bytes; save it as a text in UTF-8"),
        ("uod: Kühler\n".encode("utf-16"), "u.yaml: error: the file is in UTF-16; save it as UTF-8"),
        ("uod: Kuehler\n".encode("utf-16-le"), "u.yaml: error: the file is in UTF-16; save it as UTF-8"),
        (
            "uod: x\nlocation: Kühlraum\n".encode("latin-1"),
            "u.yaml:2: error: this is not UTF-8: the byte FC is not part",
        ),
        (b"uod: a\x07b\n", "u.yaml:1:7: error: the sign U+0007 is not one of a text; take it out; save as UTF-8"),
        (
            b'uod: x\nlocation: "Lab\ntags: {}\n',
            "u.yaml:2:11: error: this is not YAML: this quote is never closed; close",
        ),
        (
            b"uod: x\ntags: {A: 1\nb: 2\n",
            "u.yaml:2:7: error: this is not YAML: this { is not closed where a } or a comma",
        ),
        (b"uod: x\ntags: [A, B\nb: 2\n", "u.yaml:2:7: error: this is not YAML: this [ is not closed where a ] or a"),
        (
            b"uod: x\ndevices:\n\ta: 1\n",
            "u.yaml:3:1: error: this is not YAML: a tab stands where blanks indent; indent",
        ),
        (
            b"uod: x\nlocation: a: b\n",
            "u.yaml:2:12: error: this is not YAML: a second : in this line, or a line that is",
        ),
        (
            b"uod: x\nlocation: @home\n",
            "u.yaml:2:11: error: this is not YAML: a text cannot begin with @; put the text in",
        ),
        (b"uod: x\ndevices:\n  a: 1\n b: 2\n", "u.yaml:4:2: error: this is not YAML: this line is not indented as the"),
        (
            b"uod: x\nand more\n",
            "u.yaml:2:1: error: this is not YAML: this line is neither a key with its : nor part of",
        ),
        (b"uod: x\nlocation: *lab\n", "u.yaml:2:11: error: this is not YAML: *lab refers to a part that is not marked"),
        (b"uod: x\n---\nuod: y\n", "u.yaml:2:1: error: this is not YAML: a UOD is one document, and a line --- begins"),
        (
            b'uod: "a\\q"\n',
            "u.yaml:1:9: error: this is not YAML: a backslash begins a special sign between double quotes",
        ),
        (
            b"uod: 'it's'\n",
            "u.yaml:1:10: error: this is not YAML: a text goes on behind its closing quote; write a quote",
        ),
        (b"uod: " + b"[" * 5000 + b"]" * 5000, "u.yaml:1:35: error: more than 30 parts stand inside each other here"),
        (b"uod: " + b"{a: " * 3000, "u.yaml:1:119: error: more than 30 parts stand inside each other here"),
        (b"uod: x\ntick_ms: " + b"9" * 5000, "u.yaml:2:10: error: tick_ms: '" + "9" * 100 + "...' cannot be read"),
        (b"uod: 2024-01-01\n", "u.yaml:1:1: error: uod: expected a text, found '2024-01-01'; put it in quotes"),
        (b"uod: " + b"n" * 121, "u.yaml:1:1: error: uod: a name has 120 characters at most, and this one 121"),
        (b'uod: "a\\u0007b"', "u.yaml:1:1: error: uod: a name has no signs that cannot be seen, such as U+0007"),
        (
            b"uod: x\nsafe_after_ms: 1" + b"0" * 30,
            "u.yaml:2:1: error: safe_after_ms: this should be less than or equal to",
        ),
    ],
)
def test_a_text_that_is_no_uod_is_named_for_what_it_is(tmp_path: Path, data: bytes, fault: str) -> None:
    path = tmp_path / "u.yaml"
    path.write_bytes(data)

    (found,) = told(path)

    assert found.startswith(fault)
    assert len(found) < 400


def bomb(opening: str, part: str, closing: str) -> str:
    """Seven levels of nine aliases each, in some hundred bytes."""
    lines = ["a: &a " + opening + ", ".join(part.format(place, "x") for place in range(9)) + closing]
    for before, name in zip("abcdef", "bcdefg", strict=True):
        inside = ", ".join(part.format(place, f"*{before}") for place in range(9))
        lines.append(f"{name}: &{name} {opening}{inside}{closing}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("opening", "part", "closing"), [("[", "{1}", "]"), ("{", "k{0}: {1}", "}")])
def test_a_bomb_of_aliases_goes_off_nowhere(tmp_path: Path, opening: str, part: str, closing: str) -> None:
    path = tmp_path / "u.yaml"
    path.write_text(bomb(opening, part, closing))
    assert path.stat().st_size < 1000

    (found,) = told(path)

    assert "the aliases (*) of this file unfold to more than 200,000 values; write the parts out" in found


def test_aliases_that_spare_typing_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "u.yaml"
    tags = "".join(f"  T{place}: {{<<: *plain, unit: bar}}\n" for place in range(2000))
    path.write_text(SOUND + "tags:\n  T: &plain {device: a, deadband: 0.1, min: 0, max: 5}\n" + tags)

    assert told(path) == []


def test_an_anchor_that_is_used_twice_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "u.yaml"
    path.write_text("uod: &n X\nlocation: &n Y\ndevices: {a: {driver: simulated}}\n")

    assert told(path) == ["u.yaml: warning: &n marks two parts, and *n means the one before it; name them differently"]


def test_a_file_of_many_faults_tells_the_first_thousand(tmp_path: Path) -> None:
    path = tmp_path / "u.yaml"
    path.write_text(SOUND + "process_values: [" + ", ".join(f"T{place}" for place in range(3000)) + "]\n")

    found = told(path)

    assert len(found) == 1001
    assert found[-1] == "u.yaml: error: and 2,000 more; mend the first ones first"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "u.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)

    (found,) = told(path)

    assert found.startswith("u.yaml: error: the file has 100 MiB, and a UOD 8 MiB at most; ")
    assert MAX_BYTES == 8 * 2**20


def test_a_folder_names_the_files_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "skids.yaml"
    folder.mkdir()
    assert told(folder) == ["skids.yaml: error: this is a folder; name the file in it: there is no UOD in it"]

    (folder / "pump.yaml").write_text(SOUND)
    assert told(folder) == [f"skids.yaml: error: this is a folder; name the file in it: {folder / 'pump.yaml'}"]


def test_an_ending_in_capitals_is_an_ending(tmp_path: Path) -> None:
    path = tmp_path / "U.YAML"
    path.write_text(SOUND)

    assert told(path) == []


def test_a_link_that_leads_nowhere_says_so(tmp_path: Path) -> None:
    path = tmp_path / "u.yaml"
    path.symlink_to(path)

    assert told(path) == ["u.yaml: error: this is a link that leads to no file; name the file itself"]


def test_ctrl_c_ends_the_reading_of_a_python_file(tmp_path: Path) -> None:
    path = tmp_path / "u.py"
    path.write_text("raise KeyboardInterrupt\n")

    with pytest.raises(KeyboardInterrupt):
        read_uod(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "u.yaml"
    os.mkfifo(path)

    assert told(path) == ["u.yaml: error: this is a pipe or a device, and not a file; write the UOD into a file first"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no rights of this kind")
def test_a_file_without_rights_says_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "u.yaml"
    path.write_text(SOUND)
    path.chmod(0)
    code = (
        "import os, sys; from engine.uod.reader import read_uod\n"
        "if os.geteuid() == 0: os.setegid(65534); os.seteuid(65534)\n"  # root may read everything
        "print(read_uod(sys.argv[1]).faults[0].message)"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o111)

    found = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)

    assert found.stdout == "the file may not be read by this user\n"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "import sys\nsys.exit()\n",
            "u.py:2: error: the file ends the program by sys.exit() or exit() while it is read",
        ),
        ("def create():\n    raise SystemExit(3)\n", "u.py:2: error: the file ends the program by sys.exit()"),
        ("def create():\n    return create()\n", "u.py:2: error: the file calls itself, or brackets stand inside each"),
        ("a = 1\x00\n", "u.py: error: this is not a text: it holds zero bytes; save it as a text in UTF-8"),
        ("x = " + "(" * 5000 + ")" * 5000, "u.py:1:205: error: this is not Python: too many nested parentheses"),
        ("x = " + "-" * 50_000 + "1\n", "u.py: error: this needs more memory than there is; shorten the expression"),
        ("class Odd(BaseException): ...\nraise Odd('odd')\n", "u.py:2: error: Odd: odd"),
        ("async def create():\n    return 1\n", "u.py:1: error: create() returned coroutine, and not a Uod; write def"),
        ("def create():\n    return 5\n", "u.py:1: error: create() returned int, and not a Uod; write def create() ->"),
        ("raise ValueError('x' * 10**6)\n", "u.py:1: error: ValueError: " + "x" * 500 + "..."),
    ],
)
def test_a_python_file_that_does_not_return_a_uod(tmp_path: Path, source: str, fault: str) -> None:
    path = tmp_path / "u.py"
    path.write_text(source)

    (found,) = told(path)

    assert found.startswith(fault)


def test_what_a_python_file_prints_is_told_and_goes_nowhere_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "u.py"
    path.write_text(
        "from engine.uod.model import Device, Uod\nprint('hello')\n"
        "def create():\n    print('there', 'x' * 10**6)\n"
        "    return Uod(uod='U', devices={'a': Device(driver='simulated')})\n"
    )

    reading = read_uod(path)

    assert reading.skid is not None
    (fault,) = reading.faults
    assert fault.severity is Severity.WARNING
    assert fault.message.startswith("the file prints while it is read: 'hello there xxx")
    assert len(fault.message) < 600
    assert capfd.readouterr().out == ""


def test_a_long_sum_in_a_python_file_has_its_places_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "u.py"
    path.write_text(
        "from engine.uod.model import Device, Tag, Uod\nx = " + " + ".join("1" for _ in range(900)) + "\n"
        "def create():\n    return Uod(uod='U', devices={}, tags={'T': Tag(device='nobody')})\n"
    )

    assert told(path) == ["u.py:4:52: error: tags.T.device: no device is named 'nobody'; there are no devices"]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_text_or_an_error(data: bytes) -> None:
    try:
        text_of(data)
    except UodFileError as error:
        assert error.message and error.hint  # noqa: PT017, PT018 - either way is right


@given(st.text(alphabet="uod: \n\t-[]{}&*a'\"#|>!%@,0", max_size=80))
def test_any_text_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)

    reading = read_uod(path)

    assert reading.skid is not None or reading.faults
