"""What contract tests have in common: they are inherited whole, and leaving one out takes a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

_REASON = "__visioncraft_overridden__"


def overridden(reason: str) -> Callable[[Test], Test]:
    """Say why a test stands in for the contract's own of the same name.

    Args:
        reason: What makes this plugin an exception, for whoever reads its tests.

    Raises `ValueError` for no reason.
    """
    if not reason.strip():
        raise ValueError("@overridden needs a reason: what makes this plugin an exception?")

    def mark(test: Test) -> Test:
        setattr(test, _REASON, reason)
        return test

    return mark


class Contract:
    """The base of the contract classes. A subclass that overrides or removes a test without a reason is refused.

    The check is made when the class is, so that it cannot be overridden itself (langchain's standard tests check in a
    test).
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Raise `TypeError` that names the test and the next step."""
        super().__init_subclass__(**options)
        if cls.__module__.startswith("visioncraft.testing."):
            return
        for name in _contract_tests(cls):
            if name in vars(cls) and not getattr(vars(cls)[name], _REASON, None):
                raise TypeError(
                    f"{cls.__name__}.{name} overrides a test of the contract without a reason: decorate it with "
                    "@visioncraft.testing.overridden('why this plugin is an exception'), or leave it out"
                )


def _contract_tests(cls: type) -> set[str]:
    kin = [base for base in cls.__mro__[1:] if base.__module__.startswith("visioncraft.testing.")]
    return {name for base in kin for name in vars(base) if name.startswith("test_")}
