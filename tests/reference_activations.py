"""The functions of PyTorch that activations are compared with, by name."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install 'tinyxp[torch]'")
F = torch.nn.functional

REFERENCE = {
    "gelu": lambda x, approximate="none": F.gelu(x, approximate=approximate),
    "log_softmax": F.log_softmax,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    # its own turns to the straight line from a threshold on
    "softplus": lambda x, beta=1.0: F.softplus(x, beta, threshold=1e9),
    "softmax": F.softmax,
}
