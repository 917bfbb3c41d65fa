"""The precision of float32 matrix products, as PyTorch names it; without effect on a CPU."""

from contextvars import ContextVar

from tinyxp.errors import ArgumentError

PRECISIONS = "highest", "high", "medium"
_precision: ContextVar[str] = ContextVar("tinyxp_float32_matmul_precision", default="highest")


def set_float32_matmul_precision(precision: str) -> None:
    """Let a GPU round the factors of float32 matrix products; sums stay in float32.

    "highest" (the default): float32. "high": TF32, factors with 10 fraction bits, several times as
    fast on GPUs since 2020. "medium": bfloat16, with 7 bits. It holds for this thread or task.
    Raises ArgumentError for another name.

    >>> tx.set_float32_matmul_precision("high")
    >>> tx.get_float32_matmul_precision()
    'high'
    >>> tx.set_float32_matmul_precision("highest")
    """
    if not isinstance(precision, str) or precision not in PRECISIONS:
        names = ", ".join(map(repr, PRECISIONS))
        raise ArgumentError(f"a precision of float32 products is one of {names}, got {precision!r}")
    _precision.set(precision)


def get_float32_matmul_precision() -> str:
    """The precision that ``set_float32_matmul_precision`` chose."""
    return _precision.get()
