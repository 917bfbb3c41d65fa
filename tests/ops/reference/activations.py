"""The functions of PyTorch that activations are compared with, by name."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F = torch.nn.functional

REFERENCE = {
    "elu": lambda x, alpha, scale=1.0, input_scale=1.0: torch.ops.aten.elu(
        x, alpha, scale, input_scale
    ),
    "gelu": lambda x, approximate="none": F.gelu(x, approximate=approximate),
    "glu": F.glu,
    "hardshrink": F.hardshrink,
    "hardsigmoid": lambda x: F.relu6(x + 3) / 6,  # the slope of its own is 1/6 in float32
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "log_softmax": F.log_softmax,
    "logsigmoid": F.logsigmoid,
    "mish": F.mish,
    "prelu": lambda x, slope: F.prelu(x, slope.reshape(-1)),
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softmax": F.softmax,
    "softplus": F.softplus,
    "softshrink": F.softshrink,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "threshold": F.threshold,
}
