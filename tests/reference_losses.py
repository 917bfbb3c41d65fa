"""The functions of PyTorch that losses are compared with, by name."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install 'tinyxp[torch]'")
F = torch.nn.functional


def without_reduction(loss):
    return lambda *args, **static: loss(*args, reduction="none", **static)


REFERENCE = {
    name: without_reduction(getattr(F, name))
    for name in [
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "cross_entropy",
        "l1_loss",
        "mse_loss",
        "nll_loss",
    ]
}
