"""The functions of PyTorch that linear layers, embeddings, norms … are compared with, by name."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install 'tinyxp[torch]'")
F = torch.nn.functional

REFERENCE = {
    "layer_norm": lambda x, weight=None, bias=None, axes=1, eps=1e-5: F.layer_norm(
        x, x.shape[-axes:], weight, bias, eps
    ),
    "linear": F.linear,
}
