"""Blocks that restore the training or evaluation mode of every module."""

from collections.abc import Iterator
from typing import Any

from tinyxp.backends.common.context import block
from tinyxp.core.tape import no_grad


@block
def keep_modes(model: Any) -> Iterator[None]:
    """Restore the mode of each module of a model at the end of the block: a module that the user
    put into evaluation mode stays in it.

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
    """Evaluation mode without gradients in a block; afterwards each module has its own mode again.

    >>> model = tx.nn.Dropout(0.5)
    >>> with evaluation(model):
    ...     print(model(tx.ones(3)))
    tensor([1., 1., 1.])
    """
    with keep_modes(model), no_grad():
        model.eval()
        yield
