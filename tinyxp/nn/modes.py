"""Training and evaluation mode: every module gets its own back."""

from collections.abc import Iterator
from typing import Any

from tinyxp.backends.common.context import block
from tinyxp.core.tape import no_grad


@block
def keep_modes(model: Any) -> Iterator[None]:
    """Whatever happens inside the block, each module of a model is afterwards in the mode that it
    was in: a part that is frozen in evaluation mode stays so.

    >>> model = tx.nn.Sequential(tx.nn.Linear(1, 1), tx.nn.BatchNorm1d(1).eval())
    >>> with keep_modes(model):
    ...     _ = model.train()
    >>> [module.training for module in model.modules()]
    [True, True, False]
    """
    before = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@block
def evaluation(model: Any) -> Iterator[None]:
    """The model in evaluation mode, nothing recorded; afterwards every module is as it was.

    >>> model = tx.nn.Dropout(0.5)
    >>> with evaluation(model):
    ...     print(model(tx.ones(3)))
    tensor([1., 1., 1.])
    """
    with keep_modes(model), no_grad():
        model.eval()
        yield
