"""What the parts of the evaluator know of one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proofread.scope import Scope
from proofread.tree import Node
from proofread.values import Divergence, FunctionValue, Outcome, Overload, RandomVariable, Stored

Body = Callable[[], Any]


class Part:
    """Base of the mixins that ``Evaluator`` is made of: its state, and what any of them may call.

    Each of these functions is defined in one of the parts; here are only their types.
    """

    algebra: Any
    scope: Scope
    known: dict[str, tuple[Stored, float]]
    needs: dict[str, set[str]]

    # evaluate
    value: Callable[[Node], Any]
    plain: Callable[[Any, Node], Any]
    # names
    meaning: Callable[[Node], Any]
    meaning_of_text: Callable[[str], Any]
    bound_key: Callable[[Node], str]
    integers: Callable[[tuple[Node, ...]], tuple[int, ...] | None]
    # calls, conditions, tables
    argument: Callable[[Node], Any]
    expanded: Callable[[tuple[Node, ...]], tuple[Node, ...]]
    log_of: Callable[[Node], Any]
    stored: Callable[[Any], Stored]
    truth: Callable[[Node], Any]
    outcome_value: Callable[[Outcome], Any]
    called_bare: Callable[[FunctionValue, Node], Any]
    _fit: Callable[[Overload, tuple[Node, ...], tuple[str, ...]], tuple[int, dict[str, Any]] | None]
    # expectations, conditional, binders, grids, derive
    divergence: Callable[[Node, Node, Divergence | None], Any]
    reachable: Callable[[tuple[Node, ...]], set[str]]
    random_value: Callable[[RandomVariable], Any]
    under: Callable[[list[Any], Body], Any]
    slope: Callable[[Node, int, Node], Any]
    _spread: Callable[[Any, int], Any]
