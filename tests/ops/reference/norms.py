"""The functions of PyTorch that norms are compared with, by name."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F = torch.nn.functional


def batch_norm(centred, variance, weight=None, bias=None, *, eps):
    """PyTorch's has no gradient of its statistics."""
    y = centred / torch.sqrt(variance + eps)
    return y if weight is None else y * weight + bias


REFERENCE = {
    "batch_norm": batch_norm,
    "group_norm": lambda x, weight, bias, groups, eps: F.group_norm(
        x, groups, weight[:, 0], bias[:, 0], eps
    ),
    "layer_norm": lambda x, weight=None, bias=None, axes=1, eps=1e-5: F.layer_norm(
        x, x.shape[-axes:], weight, bias, eps
    ),
    "local_response_norm": F.local_response_norm,
    "rms_norm": lambda x, weight=None, axes=1, eps=1e-5: F.rms_norm(
        x, x.shape[-axes:], weight, eps
    ),
}
