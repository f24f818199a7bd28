"""Names of problems, models and hparams sets.

The registry reads *declarations* with `ast` and imports a file only when its
object is asked for, so listing a zoo costs milliseconds and no TensorFlow.
A class is declared by its decorator:

    @registry.problem                 # name: snake_case of the class name
    class TranslateEnde(TextToText): ...

    @registry.model("transformer_lm")  # or a name of its own
    class TransformerLM(...): ...

An hparams set is a file `hparams/NAME.gin`. Plug-ins add folders
(`--t2t_usr_dir`) or packages (entry point group `t2t.plugins`); one that cannot
be scanned is listed as unread and takes nothing else down.

The surprise: a problem's name may carry suffixes, as in Tensor2Tensor. The rule:
`_rev` exchanges inputs and targets, `_copy` makes the targets the inputs; they
are read from the right, up to a registered name, and may be combined.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.machinery
import importlib.util
import itertools
import re
import sys
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, TypeVar

import gin

from t2t import old_names
from t2t.names import close_to

KINDS = ("problem", "model")
SUFFIXES = ("_rev", "_copy")
ENTRY_POINT_GROUP = "t2t.plugins"
ZOO = Path(__file__).resolve().parent

T = TypeVar("T")


class UnknownName(ValueError):
    """A name that nothing is registered under; the message names what is close."""


class DuplicateName(ValueError):
    """Two declarations of one name; the message names both places."""


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What can be known of a registered object without importing it."""

    kind: str  # 'problem', 'model' or 'hparams_set'
    name: str
    file: Path
    line: int
    doc: str
    module: str = ""  # dotted name to import; empty for hparams sets
    class_name: str = ""
    features: dict[str, str] = dataclasses.field(default_factory=dict)
    bases: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The first sentence of the documentation, as one line."""
        lines = itertools.takewhile(
            lambda line: line and not line.startswith("t2t-"),
            self.doc.strip().split("\n"),
        )
        paragraph = " ".join(line.strip() for line in lines)
        ended = re.match(r".*?(?<!\bal)\.(?=\s+[A-Z]|$)", paragraph)
        return ended.group(0) if ended else paragraph

    @property
    def paper(self) -> str:
        """The first arXiv identifier named in the documentation, or ''."""
        found = re.search(r"arXiv[: ]*(\d{4}\.\d{4,5})", self.doc)
        return f"arXiv:{found.group(1)}" if found else ""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclasses.dataclass(frozen=True)
class Unread:
    """A plug-in file or package that could not be scanned or imported."""

    place: str
    reason: str


def snake_case(name: str) -> str:
    """`TranslateEnde` -> `translate_ende`; `TransformerLM` -> `transformer_lm`."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


# -- decorators -----------------------------------------------------------------


def _decorator(kind: str, argument: Any) -> Any:
    def declare(cls: Any, name: str | None = None) -> Any:
        name = name or snake_case(cls.__name__)
        if cls.__module__.split(".")[0] in ("problems", "models"):
            raise DuplicateName(
                f"{cls.__name__} was imported as {cls.__module__}: "
                f"import t2t.{cls.__module__} instead"
            )
        # gin gives back the class itself: `configurable` would break Keras layers.
        gin.register(name, module=kind)(cls)
        return cls

    if isinstance(argument, str):
        return lambda cls: declare(cls, argument)
    return declare(argument)


def problem(argument: Any) -> Any:
    """Class decorator: registers a problem, as `@problem` or `@problem("name")`."""
    return _decorator("problem", argument)


def model(argument: Any) -> Any:
    """Class decorator: registers a model, as `@model` or `@model("name")`."""
    return _decorator("model", argument)


def configurable(name: str) -> Callable[[T], T]:
    """Decorator: lets gin bind the arguments of a class or function as `name.arg`.

    The object itself is given back untouched, with its static type; gin's values
    come only through `config.build(name)`.
    """

    def declare(target: T) -> T:
        gin.register(name)(target)
        return target

    return declare


# -- scanning -------------------------------------------------------------------


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _class_features(node: ast.ClassDef) -> dict[str, str]:
    """The class attribute `FEATURES = {name: kind}`, when it is a literal."""
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        if any(isinstance(t, ast.Name) and t.id == "FEATURES" for t in targets):
            literal = _literal(value)
            return literal if isinstance(literal, dict) else {}
    return {}


def _declared(node: ast.ClassDef) -> tuple[str, str] | None:
    """(kind, name) when a registry decorator stands on the class."""
    for decorator in node.decorator_list:
        call = isinstance(decorator, ast.Call)
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not isinstance(function, ast.Attribute) or function.attr not in KINDS:
            continue
        owner = function.value
        if not isinstance(owner, ast.Name) or owner.id != "registry":
            continue
        name = snake_case(node.name)
        if call and isinstance(decorator, ast.Call) and decorator.args:
            name = str(_literal(decorator.args[0]))
        return function.attr, name
    return None


def scan_file(path: Path, module: str) -> list[Declaration]:
    """All declarations of one Python file, undecorated base classes included.

    Raises:
      SyntaxError, OSError: when the file cannot be read as Python.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    found = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        kind, name = _declared(node) or ("base", "")
        bases = tuple(ast.unparse(b).split(".")[-1] for b in node.bases)
        doc = ast.get_docstring(node) or ""
        if kind != "base":
            doc = doc + "\n\n" + (ast.get_docstring(tree) or "")
        found.append(
            Declaration(
                kind=kind,
                name=name,
                file=path,
                line=node.lineno,
                doc=doc,
                module=module,
                class_name=node.name,
                features=_class_features(node),
                bases=bases,
            )
        )
    return found


def _set_declaration(path: Path) -> Declaration:
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return Declaration("hparams_set", path.stem, path, 1, "\n".join(comment))


class Registry:
    """The declarations of the zoo and of the plug-ins, by kind and name."""

    def __init__(self) -> None:
        self.unread: list[Unread] = []
        self._tables: dict[str, dict[str, Declaration]] = {}
        self._bases: dict[str, Declaration] = {}
        self.usr_dirs: list[Path] = []
        self.scan()

    def scan(self) -> None:
        """Reads the zoo, the entry points and the plug-in folders anew."""
        self.unread = []
        self._tables = {"problem": {}, "model": {}, "hparams_set": {}}
        self._bases = {}
        for room in ("problems", "models"):
            self._scan_folder(ZOO / room, f"t2t.{room}", strict=True)
        for path in sorted((ZOO / "hparams").glob("*.gin")):
            self._add(_set_declaration(path))
        self._scan_entry_points()
        for folder in self.usr_dirs:
            self._scan_folder(folder, usr_module(folder), strict=False)
            for path in sorted(folder.glob("*.gin")):
                self._add(_set_declaration(path))

    def add_usr_dir(self, folder: str | Path) -> None:
        """Adds a plug-in folder (`--t2t_usr_dir`).

        Raises:
          UnknownName: when there is no such folder, or nothing in it to read.
        """
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise UnknownName(f"--t2t_usr_dir={folder}: there is no such folder")
        if not any(path.glob("*.py")) and not any(path.glob("*.gin")):
            raise UnknownName(
                f"--t2t_usr_dir={folder}: the folder holds no .py and no .gin file"
            )
        if path not in self.usr_dirs:
            self.usr_dirs.append(path)
            self.scan()

    def names(self, kind: str) -> list[str]:
        """All registered names of a kind, sorted."""
        return sorted(self._tables[kind])

    def declaration(self, kind: str, name: str) -> Declaration:
        """The declaration of `name`; suffixes of problems are taken off.

        Raises:
          UnknownName: when there is none.
        """
        table = self._tables[kind]
        base = split_suffixes(name, table)[0] if kind == "problem" else name
        if name in table:
            return table[name]
        if base in table:
            declaration = table[base]
            if not {"inputs", "targets"} <= set(self.features(declaration)):
                raise UnknownName(
                    f"{name!r}: the suffixes {' and '.join(SUFFIXES)} are for problems "
                    f"with inputs and targets, and {base} has "
                    f"{', '.join(self.features(declaration)) or 'neither'}"
                )
            return declaration
        word = kind.replace("_", " ")
        hint = old_names.told(kind, base) or close_to(name, table)
        for place in self.unread:
            hint += f" (unread: {place.place}: {place.reason})"
        if not hint:
            hint = f" `t2t-zoo list` shows the {len(table)} that there are."
        raise UnknownName(f"there is no {word} named {name!r}.{hint}")

    def features(self, declaration: Declaration) -> dict[str, str]:
        """{feature: kind} that a class declares, by itself or through its bases."""
        seen: set[str] = set()

        def inherited(of: Declaration) -> dict[str, str]:
            if of.features:
                return of.features
            for base in of.bases:
                if base in self._bases and base not in seen:
                    seen.add(base)
                    if found := inherited(self._bases[base]):
                        return found
            return {}

        return inherited(declaration)

    def load(self, kind: str, name: str) -> type:
        """Imports the class registered under `name`.

        Raises:
          UnknownName: when nothing has that name.
          ImportError: naming the file, when its import fails.
        """
        declaration = self.declaration(kind, name)
        if declaration.module.startswith("t2t_usr_"):
            _prepare_usr_package(declaration.file.parent)
        try:
            module = importlib.import_module(declaration.module)
        except Exception as error:
            raise ImportError(
                f"{kind} {name!r} ({declaration.place}) cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        return getattr(module, declaration.class_name)

    def _scan_folder(self, folder: Path, package: str, strict: bool) -> None:
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            try:
                found = scan_file(path, ".".join((package, *parts)))
            except (SyntaxError, OSError, ValueError) as error:
                if strict:
                    raise
                self.unread.append(Unread(str(path), str(error)))
                continue
            for declaration in found:
                self._add(declaration)

    def _scan_entry_points(self) -> None:
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINT_GROUP):
            try:
                spec = importlib.util.find_spec(point.value)
            except Exception as error:
                self.unread.append(Unread(f"plug-in {point.name}", str(error)))
                continue
            if spec is None or spec.origin is None:
                self.unread.append(
                    Unread(f"plug-in {point.name}", f"no module {point.value}")
                )
            elif spec.submodule_search_locations:
                folder = Path(spec.origin).parent
                self._scan_folder(folder, point.value, strict=False)
            else:
                try:
                    found = scan_file(Path(spec.origin), point.value)
                except (SyntaxError, OSError, ValueError) as error:
                    self.unread.append(Unread(f"plug-in {point.name}", str(error)))
                    continue
                for declaration in found:
                    self._add(declaration)

    def _add(self, declaration: Declaration) -> None:
        if declaration.class_name:
            self._bases.setdefault(declaration.class_name, declaration)
        if declaration.kind == "base":
            return
        table = self._tables[declaration.kind]
        other = table.get(declaration.name)
        if other is not None and other.place != declaration.place:
            raise DuplicateName(
                f"{declaration.kind} {declaration.name!r} is declared twice: "
                f"{other.place} and {declaration.place}"
            )
        table[declaration.name] = declaration


def split_suffixes(
    name: str, known: Container[str] | None = None
) -> tuple[str, tuple[str, ...]]:
    """`a_rev_copy` -> (`a`, (`_rev`, `_copy`)), in the order of application.

    A name among the `known` (the registered problems) is whole, whatever it ends in.
    """
    known = current().names("problem") if known is None else known
    suffixes: list[str] = []
    while True:
        if name in known:
            return name, tuple(suffixes)
        for suffix in SUFFIXES:
            if name.endswith(suffix) and len(name) > len(suffix):
                name = name[: -len(suffix)]
                suffixes.insert(0, suffix)
                break
        else:
            return name, tuple(suffixes)


def usr_module(folder: Path) -> str:
    """The package name under which a plug-in folder is imported."""
    return "t2t_usr_" + re.sub(r"\W", "_", str(folder))


def _prepare_usr_package(folder: Path) -> None:
    """Makes the folder importable as a package, `__init__.py` or not."""
    name = usr_module(folder)
    if name in sys.modules:
        return
    init = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        name, init if init.exists() else None, submodule_search_locations=[str(folder)]
    )
    if spec is None:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    if spec.loader is not None and init.exists():
        spec.loader.exec_module(package)


_registry: Registry | None = None


def current() -> Registry:
    """The one registry of this process, scanned at first use."""
    global _registry
    if _registry is None:
        _registry = Registry()
    return _registry
