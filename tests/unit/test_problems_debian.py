"""The Debian archive's formats, on made-up files of each, and apt's remedies."""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from t2t.problems import packages_debian, translate_debian
from t2t.problems.debian import (
    catalogues,
    descriptions,
    help_pages,
    manual_pages,
    packages,
)
from t2t.problems.debian.apt import Apt, members
from t2t.problems.holdout import Pair
from t2t.problems.problem import TRAIN, DataUnavailable

TRANSLATION = """Package: {package}
Description-md5: 0123
Description-{language}: {title}
 {first}
 .
 {second}
  * {item}
    goes on

"""


def test_descriptions(tmp_path: Path) -> None:
    english, german, packages = (tmp_path / n for n in ("en", "de", "Packages"))
    english.write_text(
        TRANSLATION.format(
            package="lamp-bin",
            language="en",
            title="switches lamps",
            first="It is good. It\n is cheap.",
            second="Parts:",
            item="a lamp that",
        )
    )
    german.write_text(
        TRANSLATION.format(
            package="lamp-bin",
            language="de",
            title="schaltet Lampen",
            first="Es ist gut.\n Es ist billig.",
            second="Teile:",
            item="eine Lampe, die",
        )
    )
    packages.write_text("Package: lamp-bin\nSource: lamp (1.0)\n\n")
    group = "package lamp"
    assert list(descriptions.pairs([english], [german], [packages])) == [
        Pair("switches lamps", "schaltet Lampen", group),
        Pair("It is good.", "Es ist gut.", group),
        Pair("It is cheap.", "Es ist billig.", group),
        Pair("Parts:", "Teile:", group),
        Pair("a lamp that goes on", "eine Lampe, die goes on", group),
    ]


def test_packages_by_section(tmp_path: Path) -> None:
    english, lists = tmp_path / "en", tmp_path / "Packages"
    text = {"first": "It is good.", "second": "Parts:", "item": "one lamp"}
    english.write_text(
        TRANSLATION.format(package="lamp-bin", language="en", title="lamps", **text)
        + TRANSLATION.format(package="other", language="en", title="no section", **text)
        + "Package: bare\nDescription-md5: 1\nDescription-en: a title alone\n\n"
    )
    lists.write_text(
        "Package: lamp-bin\nSource: lamp (1.0)\nSection: contrib/games\n\n"
        "Package: bare\nSection: libs\n\n"
    )
    whole = "It is good. Parts: one lamp goes on"
    assert list(packages.packages([english], [lists])) == [
        packages.Package("package lamp", "games", "lamps", whole)
    ]


def test_titles_and_sections_of_each_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(english: object, lists: object) -> list[packages.Package]:
        words = [a + b for a in "bcdfghklmn" for b in "aeiouy"]
        return [
            packages.Package(f"package {w}", section, f"the {w}", f"{w} is good " * 80)
            for w, section in zip(words, ["games", "libs"] * 30, strict=True)
        ]

    monkeypatch.setattr(packages_debian, "packages", made)
    monkeypatch.setattr(packages_debian.Apt, "lists", lambda self, ending: [])
    monkeypatch.setattr(packages_debian, "HELD_OUT", 0.2)
    seen: list[str] = []
    for split in (TRAIN, "dev", "test"):
        titles = list(packages_debian.SummarizeDebian().examples(split, tmp_path))
        labels = list(packages_debian.TextClassDebian().examples(split, tmp_path))
        assert len(titles) == len(labels) > 2
        assert all(len(e["inputs"]) <= packages_debian.LONGEST for e in titles)
        assert {e["label"] for e in labels} == {"games", "libs"}
        seen += [e["targets"] for e in titles]
    assert len(seen) == len(set(seen)) == 60


def test_help_pages() -> None:
    english = (
        b'<h1 id="a">Lamps</h1><p id="b">Press <span class="MAC"><span>Cmd</span>'
        b'</span><span>Ctrl</span>+L &amp; go</p><p>no id</p><p id="bm_x">debug</p>'
    )
    german = b'<h1 id="a">Lampen</h1><p id="b">Dr\xc3\xbccke Strg+L</p>'
    found = list(
        help_pages.pairs([("x/text/l.html", english)], [("y/text/l.html", german)])
    )
    assert found == [
        Pair("Lamps", "Lampen", "help l.html"),
        Pair("Press Ctrl+L & go", "Drücke Strg+L", "help l.html"),
    ]


def _mo(messages: dict[bytes, bytes], order: str) -> bytes:
    """A .mo file as msgfmt writes it, by the format's description in gettext."""
    start = 28 + 16 * len(messages)
    tables: list[list[bytes]] = [[], []]
    data = b""
    for table, texts in zip(tables, (messages.keys(), messages.values()), strict=True):
        for text in texts:
            table.append(struct.pack(f"{order}2I", len(text), start + len(data)))
            data += text + b"\0"
    count = len(messages)
    head = (0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0)
    return struct.pack(f"{order}7I", *head) + b"".join(tables[0] + tables[1]) + data


@pytest.mark.parametrize("order", "<>")
def test_catalogues(order: str) -> None:
    content = _mo(
        {
            b"": b"Content-Type: text/plain; charset=ISO-8859-1\n",
            b"menu\x04_Door": "_Tür".encode("latin-1"),
            b"%d lamp\0%d lamps": b"%d Lampe\0%d Lampen",
            b"use foo_bar": b"nimm foo_bar",
        },
        order,
    )
    assert list(catalogues.pairs([("de/LC_MESSAGES/part.mo", content)])) == [
        Pair("Door", "Tür", "catalogue part"),
        Pair("%d lamp", "%d Lampe", "catalogue part"),
        Pair("use foo_bar", "nimm foo_bar", "catalogue part"),
    ]
    with pytest.raises(ValueError, match="not a .mo file"):
        list(catalogues.messages(b"something else"))


ROFF = r""".\" a comment
.TH LAMP 1
.SH NAME
lamp \- {name}
.SH {options}
.TP
.B \-x
{text}
.nf
literal
.fi
.SH {uneven}
"""


def test_manual_pages() -> None:
    english = ROFF.format(
        name="a lamp", options="OPTIONS", text="Be \\fBbright\\fR.", uneven="FILES\nx"
    )
    german = ROFF.format(
        name="eine Lampe", options="OPTIONEN", text="Hell.", uneven="DATEIEN\nx\n.PP\ny"
    )
    found = manual_pages.pairs(
        [("man1/lamp.1.gz", gzip.compress(english.encode()))],
        [("de/man1/lamp.1.gz", gzip.compress(f"{german}.SH UEBERSETZUNG\n".encode()))],
    )
    assert [(p.source, p.target) for p in found] == [
        ("NAME", "NAME"),
        ("lamp - a lamp", "lamp - eine Lampe"),
        ("OPTIONS", "OPTIONEN"),
        ("-x Be bright.", "-x Hell."),
    ]


def test_without_apt_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataUnavailable, match="translate_ende_interface") as error:
        next(translate_debian.TranslateEndeDebian().examples(TRAIN, tmp_path))
    assert "\n" not in str(error.value)


def test_unknown_source_names_what_is_close() -> None:
    with pytest.raises(ValueError, match="Did you mean 'manuals'"):
        translate_debian.TranslateEndeDebian(sources="help,manual")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_members_of_a_package(tmp_path: Path) -> None:
    tree = tmp_path / "lamp"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: lamp\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\n"
        "Description: a lamp\n"
    )
    (tree / "usr/share/de").mkdir(parents=True)
    (tree / "usr/share/de/a.html").write_text("A")
    (tree / "usr/share/de/b.txt").write_text("B")
    subprocess.run(["dpkg-deb", "-b", tree], check=True, capture_output=True)
    found = list(members(tmp_path / "lamp.deb", "de/*.html"))
    assert found == [("./usr/share/de/a.html", b"A")]


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get")
def test_packages_that_are_there_are_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    path = tmp_path / "packages" / "lamp_1_all.deb"
    path.touch()
    assert Apt(tmp_path, ("en",)).package("lamp") == path
