"""The functions of PyTorch that linear layers, embeddings … are compared with, by name."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F = torch.nn.functional


def resample(x, size, mode, scale=None, align_corners=False, antialias=False):
    names = {"linear": ("linear", "bilinear", "trilinear"), "cubic": ("", "bicubic")}
    return F.interpolate(
        x,
        None if scale else size,
        scale,
        names.get(mode, (mode,) * 3)[len(size) - 1],
        align_corners=align_corners,
        antialias=antialias,
    )


def hat(d):
    return torch.clamp(1 - d.abs(), min=0)


def keys(d):
    d = d.abs()
    near, far = 1.25 * d**3 - 2.25 * d**2 + 1, -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def grid_sample(x, grid, mode, padding_mode, align_corners):
    """Σ over all pixels of x · kernel(distance): PyTorch's own has no second derivative."""
    kernel = {"bilinear": hat, "bicubic": keys}[mode]
    k = x.ndim - 2
    weights = []
    for i, n in enumerate(x.shape[2:]):
        place = grid[..., k - 1 - i]
        place = (place + 1) / 2 * (n - 1) if align_corners else ((place + 1) * n - 1) / 2
        if padding_mode == "border":
            place = torch.clamp(place, 0, n - 1)
        if padding_mode == "reflection":  # with align_corners: a wave between 0 and n - 1
            place = (n - 1) - (torch.remainder(place, 2 * (n - 1)) - (n - 1)).abs()
        weights.append(kernel(place[..., None] - torch.arange(n, dtype=x.dtype)))
    letters = ["nhwi", "nhwj"] if k == 2 else ["ndhwk", "ndhwi", "ndhwj"]
    spatial = "".join(term[-1] for term in letters)
    return torch.einsum(f"nc{spatial},{','.join(letters)}->nc{letters[0][1:-1]}", x, *weights)


def philox(key, counter):
    """Four words of 32 bits, by Python's own integers (Salmon et al. 2011)."""
    c = [counter >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)]
    k = [key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def dropout(x, seed, counter, p):
    """PyTorch draws other numbers, so the mask is computed here."""
    words = [word for i in range(-(-x.numel() // 4)) for word in philox(seed, counter + i)]
    kept = [word < (1 - p) * 2**32 for word in words[: x.numel()]]
    return x * torch.tensor(kept).reshape(x.shape) / (1 - p)


REFERENCE = {
    "dropout": dropout,
    "affine_grid": lambda theta, size, align_corners: F.affine_grid(
        theta, (len(theta), 1, *size), align_corners
    ),
    "bilinear": F.bilinear,
    "cosine_similarity": lambda x1, x2, axis, eps: F.cosine_similarity(x1, x2, axis, eps),
    "grid_sample": grid_sample,
    "linear": F.linear,
    "resample": resample,
}
