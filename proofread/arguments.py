"""Arguments of declarations and claims: what is no name, number or mapping is refused where it is written."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from proofread.errors import ProofreadError

_MOST = 100_000


def text(where: str, value: Any, remedy: str = "write it as a string") -> str:
    """A string that is not blank.

    Args:
        where: what the argument belongs to, for the message.
        value: what was given.
        remedy: what to do if it is no string.

    Returns:
        The string.

    Raises:
        ProofreadError: if it is none; likewise for all functions of this module.
    """
    if not isinstance(value, str) or not value.strip():
        raise ProofreadError(f"{where}: {value!r} is no name or formula", remedy)
    return value


def names(where: str, values: Iterable[Any], remedy: str) -> tuple[str, ...]:
    """Names of quantities; none where only the kind is meant, as in ``sequence("v", 1, 3, real())``."""
    return tuple(text(where, value, remedy) for value in values)


def whole(where: str, value: Any, least: int = 1, most: int = _MOST) -> int:
    """An integer between two bounds."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ProofreadError(f"{where}: {value!r} is not an integer", "write a whole number") from None
    if not least <= number <= most:
        raise ProofreadError(f"{where}: {number} is out of range", f"write a number from {least} to {most}")
    return number


def number(where: str, value: Any) -> float:
    """A finite real number, as it was given."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ProofreadError(f"{where}: {value!r} is not a finite number", "write a number")
    return value  # type: ignore[return-value]


def ordered(where: str, low: Any, high: Any) -> None:
    """Two numbers, the first smaller than the second."""
    if not number(where, low) < number(where, high):
        raise ProofreadError(f"{where}: {low} is not below {high}", "write the lower bound first")


def span(where: str, low: Any, high: Any) -> None:
    """The first and the last integer of a range that is not empty."""
    whole(where, low, -_MOST)
    if whole(where, high, -_MOST) < low:
        raise ProofreadError(f"{where}: nothing lies from {low} to {high}", "write the first number first")


def steps(where: str, value: Any) -> None:
    """First and last step, or None."""
    if value is None:
        return
    if not isinstance(value, tuple) or len(value) != 2:
        raise ProofreadError(f"{where}: the steps {value!r} are no pair", "write steps=(1, 3)")
    span(where, *value)


def mapping(where: str, value: Any, kind: type, example: str) -> dict[Any, Any]:
    """A mapping with keys of one kind; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(entry, kind) for entry in value):
        raise ProofreadError(f"{where}: {value!r} does not fit", f"write {example}")
    return dict(value)
