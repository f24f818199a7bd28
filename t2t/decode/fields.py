"""JSON from strangers, read field by field: what is wrong is named, with what is close.

Errors have OpenAI's form, so that its clients show them as they show their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from t2t import registry

REQUIRED: Any = object()  # stands for a default that there is none of
SHOWN = 60  # characters of a value in an error


class RequestError(ValueError):
    """A request that is refused, in one line.

    Args:
      message: what was given and what is expected.
      param: where, as 'messages[0].content[1].image_url'.
      code: a word for programs.
      status: of HTTP.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str = "",
        code: str = "invalid_value",
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    def json(self) -> dict[str, Any]:
        """{'error': {'message', 'type', 'param', 'code'}}."""
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {
            "message": self.message,
            "type": kinds.get(self.status, kind),
            "param": self.param or None,
            "code": self.code,
        }
        return {"error": error}


def read_json(data: bytes | str) -> Any:
    """What JSON says; NaN and infinities are none.

    Raises:
      RequestError: for anything else, and for what is nested too deeply.
    """

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no number of JSON")

    try:
        return json.loads(data, parse_constant=refuse)
    except RecursionError:
        raise RequestError("the JSON is nested too deeply", code="bad_json") from None
    except ValueError as error:
        reason = str(error).splitlines()[0][:200]
        raise RequestError(f"JSON is expected: {reason}", code="bad_json") from None


def shown(value: Any) -> str:
    """A value in an error: short, and of plain characters."""
    text = ascii(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


class Fields:
    """An object of JSON, asked for its fields by name and type; null is absent.

    Args:
      value: that should be an object.
      where: it stands, '' for the request itself.

    Raises:
      RequestError: when it is none.
    """

    def __init__(self, value: Any, where: str = "") -> None:
        self.where = where
        if not isinstance(value, dict):
            raise RequestError(
                f"{where or 'the request'} is {shown(value)}: an object is expected",
                param=where,
                code="invalid_type",
            )
        self.values: dict[str, Any] = value

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def path(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def only(self, known: Iterable[str], *, ignored: Iterable[str] = ()) -> None:
        """
        Raises:
          RequestError: for a field that is neither known nor ignored.
        """
        known = list(known)
        for name in self.values:
            if name not in known and name not in ignored:
                hint = registry.close_to(name[:SHOWN], known)
                raise RequestError(
                    f"{self.where or 'a request'} has no field {shown(name)}.{hint}",
                    param=self.path(ascii(name[:SHOWN])[1:-1]),
                    code="unknown_parameter",
                )

    def refuse(self, plain: dict[str, Any], *, why: str = "is not supported") -> None:
        """Fields that are known elsewhere: passed at the values that change nothing.

        Raises:
          RequestError: at any other.
        """
        for name, values in plain.items():
            if name in self and self.values[name] not in values:
                given = shown(self.values[name])
                raise RequestError(
                    f"{self.path(name)}={given} {why}",
                    param=self.path(name),
                    code="unsupported_parameter",
                )

    def get(self, name: str, kinds: tuple[type, ...], default: Any, what: str) -> Any:
        """A field of one of some types."""
        value = self.values.get(name)
        if value is None:
            if default is REQUIRED:
                raise RequestError(
                    f"no {self.path(name)}: {what} is expected",
                    param=self.path(name),
                    code="missing_required_parameter",
                )
            return default
        if not isinstance(value, kinds) or (
            isinstance(value, bool) and bool not in kinds
        ):
            raise self.wrong(name, f"{what} is expected", code="invalid_type")
        return value

    def wrong(self, name: str, why: str, *, code: str = "invalid_value") -> Any:
        """The error about a field's value."""
        where = self.path(name)
        return RequestError(
            f"{where} is {shown(self.values.get(name))}: {why}", param=where, code=code
        )

    def text(
        self, name: str, default: Any = REQUIRED, *, among: Sequence[str] = ()
    ) -> str:
        value = self.get(name, (str,), default, "a string")
        if name not in self:
            return value
        if among and value not in among:
            hint = registry.close_to(value[:SHOWN], among)
            raise self.wrong(name, f"one of {', '.join(among)} is expected.{hint}")
        return written(value, self.path(name))

    def number(
        self, name: str, default: Any = REQUIRED, *, low: float, high: float
    ) -> float:
        value = self.get(name, (int, float), default, "a number")
        if name not in self:
            return value
        if not low <= value <= high or not math.isfinite(value):
            raise self.wrong(name, f"{low:g} to {high:g} is expected")
        return float(value)

    def integer(
        self, name: str, default: Any = REQUIRED, *, low: int, high: int
    ) -> int:
        value = self.get(name, (int,), default, "an integer")
        if name in self and not low <= value <= high:
            raise self.wrong(name, f"{low} to {high} is expected")
        return value

    def boolean(self, name: str, default: Any = REQUIRED) -> bool:
        return self.get(name, (bool,), default, "true or false")

    def items(self, name: str, default: Any = REQUIRED) -> list[Any]:
        return self.get(name, (list,), default, "an array")

    def object(self, name: str, default: Any = REQUIRED) -> Fields:
        value = self.get(name, (dict,), default, "an object")
        return Fields(value, self.path(name))


def written(text: str, where: str) -> str:
    """A text, if it can be written: half of a pair of UTF-16 cannot.

    Raises:
      RequestError: when not.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RequestError(
            f"{where} holds half of a surrogate pair, which is no character",
            param=where,
        ) from None
    return text
