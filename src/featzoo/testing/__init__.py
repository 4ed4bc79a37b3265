"""Checks of the contracts of extractors and heads, for this package's tests and for those of plugins."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from featzoo.testing.contract_error import ContractError

if TYPE_CHECKING:
    from featzoo.testing.extractors import check_extractor
    from featzoo.testing.heads import check_head

__all__ = ["ContractError", "check_extractor", "check_head"]

# Imported when they are used: a head's check needs torch, an extractor's does not.
_MODULES = {"check_extractor": "extractors", "check_head": "heads"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'featzoo.testing' has no attribute '{name}'")
    return getattr(import_module(f"featzoo.testing.{_MODULES[name]}"), name)
