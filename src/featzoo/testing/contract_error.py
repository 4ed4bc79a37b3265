"""The error of a broken contract."""


class ContractError(AssertionError):
    """A plugin breaks a rule of its contract; the text says which."""


def require(kept: bool, rule: str) -> None:
    """Raise a ContractError that names `rule` unless it is kept."""
    if not kept:
        raise ContractError(f"broken rule: {rule}")
