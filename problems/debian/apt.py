"""The ordinary apt client with a state folder of its own.

Lists and packages go into the folder given; the system's configuration and keys
are read, and nothing of the system is changed or installed. apt checks all it
fetches against the archive's signature.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from t2t.problems.problem import DataUnavailable

PROGRAMS = ("apt-get", "dpkg-deb")
PATIENCE = 300  # seconds for one call of apt

log = logging.getLogger(__name__)


class Apt:
    """Package lists and packages, fetched when first asked for.

    Args:
      folder: where all of it is kept.
      languages: of the package descriptions.

    Raises:
      DataUnavailable: where there is no apt.
    """

    INSTEAD = "try --problem=translate_ende_interface, which needs pip only"

    def __init__(self, folder: Path, languages: tuple[str, ...] = ()) -> None:
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            missing_all = " and no ".join(missing)
            raise DataUnavailable(f"no {missing_all} here: {self.INSTEAD}")
        self.folder = folder.resolve()
        self.languages = languages

    def lists(self, ending: str) -> list[Path]:
        """The downloaded lists whose name ends so, such as 'Translation-de'."""
        complete = self.folder / "lists-complete"
        if not complete.exists():
            self._run("update", cwd=self.folder)
            complete.touch()
        return sorted((self.folder / "lists").glob(f"*{ending}"))

    def package(self, name: str) -> Path | None:
        """The .deb file of a package; None, with a warning, when there is none."""
        packages = self.folder / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        if found := sorted(packages.glob(f"{name}_*.deb")):
            return found[-1]
        self.lists("")
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="new-") as folder:
            try:
                self._run("download", name, cwd=Path(folder))
            except DataUnavailable as error:
                log.warning("left out: %s", error)
                return None
            (unfinished,) = Path(folder).glob("*.deb")
            path = packages / unfinished.name
            os.replace(unfinished, path)
        return path

    def _run(self, *command: str, cwd: Path) -> None:
        for part in ("lists/partial", "cache/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        words = [
            word
            for key, value in self._options().items()
            for word in ("-o", f"{key}={value}")
        ]
        done = subprocess.run(
            ["apt-get", "--quiet", "--error-on=any", *words, *command]
            if command[0] == "update"
            else ["apt-get", "--quiet", *words, *command],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise DataUnavailable(
                f"apt-get {' '.join(command)} failed ({reason}): {self.INSTEAD}"
            )

    def _options(self) -> dict[str, object]:
        return {
            "Dir::State::Lists": self.folder / "lists",
            "Dir::Cache": self.folder / "cache",
            "Acquire::Languages": ",".join(self.languages) or "none",
            "Acquire::GzipIndexes": "false",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "20",
            # As root, apt would fetch as a user who may not write to our folder.
            "APT::Sandbox::User": "root",
        }


def members(package: Path, *patterns: str) -> Iterator[tuple[str, bytes]]:
    """(path, content) of the files of a .deb that match, read without unpacking.

    A pattern is matched from the right, as by `PurePath.match`.
    """
    unpack = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(unpack, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if member.isfile() and any(path.match(p) for p in patterns):
                    file = archive.extractfile(member)
                    assert file is not None
                    yield member.name, file.read()
        # dpkg-deb complains of a closed pipe unless its padding is read, too.
        process.stdout.read()
