"""autocast: blocks in which operations choose their precision."""

from typing import Any

from tinyxp.backends.common.context import Block
from tinyxp.core import dtypes
from tinyxp.core.autocast import casting, inner
from tinyxp.errors import ArgumentError, DTypeError

DEFAULTS = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}


class autocast(Block, bare=True):
    """Within a ``with`` block or a decorated function, products are computed in 16 bits.

    ``dtype`` is bfloat16 or float16. ``device_type``, PyTorch's first argument, chooses the
    default: float16 for "cuda", else bfloat16. A block applies to every backend. ``enabled=False``
    turns autocast off in an inner block.

    Products (matmul, linear, convolutions, recurrent steps, attention) cast their operands to
    ``dtype`` and accumulate in float32. Operations that lose too much in 16 bits (exp, log, pow,
    softmax, norms, sums, losses) cast theirs to float32. Others keep the dtypes of their operands,
    the wider one if two differ. Weights and their gradients stay in float32, because a cast is an
    operation like any other. A block casts a parameter only once. Leave the block before
    ``backward()``; float16 needs a ``GradScaler``. Raises DTypeError for another dtype. Source:
    Micikevicius et al. 2018.

    >>> model, x = tx.nn.Linear(3, 2), tx.ones((4, 3))
    >>> with tx.autocast(dtype=tx.bfloat16):
    ...     y = model(x)
    ...     loss = tx.nn.functional.mse_loss(y, tx.zeros((4, 2)))
    >>> loss.backward()
    >>> y.dtype, loss.dtype, model.weight.grad.dtype
    (tinyxp.bfloat16, tinyxp.float32, tinyxp.float32)
    """

    def __init__(
        self,
        device_type: str | None = None,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool = True,
    ) -> None:
        if device_type is not None and device_type not in DEFAULTS:
            raise ArgumentError(
                f"autocast's device_type is 'cpu' or 'cuda', or left out, got {device_type!r}"
            )
        found = DEFAULTS[device_type or "cpu"] if dtype is None else dtypes.as_dtype(dtype)
        if found not in (dtypes.float16, dtypes.bfloat16):
            raise DTypeError(f"autocast takes tx.bfloat16 or tx.float16, got {found!r}")
        self.dtype, self.enabled, self.cache_enabled = found, enabled, cache_enabled

    def _open(self) -> Block:
        return inner(self.dtype if self.enabled else None, self.cache_enabled)


def is_autocast_enabled() -> bool:
    """Whether this code runs under autocast.

    >>> tx.amp.is_autocast_enabled()
    False
    """
    region = casting()
    return region is not None and region.dtype is not None
