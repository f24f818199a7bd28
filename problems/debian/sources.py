"""Source packages of the Debian archive, by the ordinary apt client.

The system may list binary packages alone: a list of our own asks the same archives for
sources, and nothing of the system is changed.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tarfile
from pathlib import Path

from t2t.problems.debian.apt import PATIENCE, Apt
from t2t.problems.problem import DataUnavailable

_FORMAT = "$(SITE) $(RELEASE) $(COMPONENT)"


class Sources(Apt):
    """Upstream's own archives, fetched when first asked for.

    Args:
      folder: where all of it is kept.

    Raises:
      DataUnavailable: where there is no apt, or no Debian archive that it knows.
    """

    INSTEAD = "compile sources of your own"

    def fetch(self, name: str) -> list[Path]:
        """The .orig archives of a source package.

        Raises:
          DataUnavailable: when there is no such package.
        """
        place = self.folder / "sources" / name
        if not (place / "complete").exists():
            self._list()
            place.mkdir(parents=True, exist_ok=True)
            self._run("source", "--download-only", "--only-source", name, cwd=place)
            (place / "complete").touch()
        found = sorted(place.glob("*.orig*.tar.*"))
        return [path for path in found if path.suffix != ".asc"]

    def unpack(self, name: str) -> Path:
        """A folder with a package's sources; nothing in it is outside of it.

        Raises:
          DataUnavailable: as `fetch`.
        """
        folder = self.folder / "unpacked" / name
        if not folder.exists():
            temporary = folder.with_name(f".{name}.tmp")
            temporary.mkdir(parents=True, exist_ok=True)
            for path in self.fetch(name):
                with tarfile.open(path) as archive:
                    for member in archive:
                        if member.isfile() or member.isdir():
                            with contextlib.suppress(tarfile.FilterError):
                                archive.extract(member, temporary, filter="data")
            temporary.replace(folder)
        return folder

    def about(self, name: str) -> tuple[str, str]:
        """(licence, 'package version') of a package that was fetched.

        The licence is the one that debian/copyright gives for most of its files.
        """
        place = self.folder / "sources" / name
        version = next((p.stem for p in sorted(place.glob("*.dsc"))), name)
        for path in sorted(place.glob("*.debian.tar.*")):
            with tarfile.open(path) as archive, contextlib.suppress(KeyError):
                file = archive.extractfile("debian/copyright")
                text = file.read().decode(errors="replace") if file else ""
                if found := re.search(r"^License: *(\S.*)$", text, re.MULTILINE):
                    return found[1].strip(), version
        return "unknown", version

    def _list(self) -> None:
        """What the system's lists of packages are of, as lists of sources."""
        path = self.folder / "sources.list"
        if not path.exists():
            asked = ["apt-get", "indextargets", "--format", _FORMAT]
            told = subprocess.run(
                [*asked, "Created-By: Packages", "Origin: Debian"],
                capture_output=True, text=True, timeout=PATIENCE,
            ).stdout  # fmt: skip
            lines = sorted({f"deb-src {line}" for line in told.splitlines()})
            if not lines:
                raise DataUnavailable(f"apt knows no Debian archive: {self.INSTEAD}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")
        complete = self.folder / "lists-complete"
        if not complete.exists():
            self._run("update", cwd=self.folder)
            complete.touch()

    def _options(self) -> dict[str, object]:
        return {
            **super()._options(),
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
        }
