"""PyTorch's functions for the Fourier transforms, sets and repetition; see test_reference.py."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")


def one_axis(name):
    f = getattr(torch.fft, name)
    return lambda x, n=None, axis=-1, norm="backward": f(x, n=n, dim=axis, norm=norm)


def several_axes(name):
    f = getattr(torch.fft, name)
    return lambda x, s=None, axes=None, norm="backward": f(x, s=s, dim=axes, norm=norm)


def primitive(forward, backward):
    """One function for both directions, as in tinyxp."""

    def run(x, axes=None, axis=None, inverse=False, **static):
        return (backward if inverse else forward)(x, dim=axis if axes is None else axes, **static)

    return run


def groups(x):
    """PyTorch's unique does not return the first indices."""
    _, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
    firsts = [(inverse == i).nonzero()[0, 0] for i in range(len(counts))]
    return torch.stack(firsts), counts, inverse


REFERENCE = (
    {name: one_axis(name) for name in ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]}
    | {name: several_axes(name) for name in ["fftn", "ifftn", "rfftn", "irfftn"]}
    | {
        "dft": primitive(torch.fft.fftn, torch.fft.ifftn),
        "fftshift": lambda x, axes=None: torch.fft.fftshift(x, dim=axes),
        "groups": groups,
        "half_dft": primitive(torch.fft.rfft, torch.fft.ihfft),
        "ifftshift": lambda x, axes=None: torch.fft.ifftshift(x, dim=axes),
        "isin": lambda x1, x2, invert=False: torch.isin(x1, x2, invert=invert),
        "meshgrid": lambda *xs, indexing="xy": torch.meshgrid(*xs, indexing=indexing),
        "repeat": lambda x, repeats, axis=None: torch.repeat_interleave(x, repeats, dim=axis),
        "runs": lambda x: groups(x)[:2],
        "whole_dft": primitive(torch.fft.hfft, torch.fft.irfft),
    }
)

# inputs for the operations without a gradient, which declare no example
SETS = [
    ((np.asarray([3, 1, 3, 2, 1]),), {}),
    ((np.asarray([0.5, -2.0, 0.5, 7.0]),), {}),
    ((np.asarray([True, False, True]),), {}),
]
INPUTS = {
    "groups": SETS,
    "runs": SETS,
    "isin": [
        ((np.asarray([[1, 2, 3], [4, 5, 2]]), np.asarray([2, 5, 9])), {}),
        ((np.asarray([1.5, -2.0, 3.0]), np.asarray([[3.0, 1.5]])), {"invert": True}),
    ],
}
