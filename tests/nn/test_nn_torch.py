"""tinyxp.nn against PyTorch in float64: values and every gradient, to 1e-10 relative."""

import re

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.helpers import each
from tinyxp import nn

torch = pytest.importorskip("torch", reason="PyTorch is the reference here: pip install torch")
F, TF = nn.functional, torch.nn.functional


def compare(ours, theirs, *arrays, rtol=1e-10):
    """Call both on the same arrays and compare values and the gradient of each floating array."""
    xs = [tx.asarray(a) for a in arrays]
    ts = [torch.from_numpy(a.copy()) for a in arrays]
    for x, t in zip(xs, ts, strict=True):
        if t.is_floating_point():
            x.requires_grad_()
            t.requires_grad_()
    y, expected = ours(*xs), theirs(*ts)
    close(y, expected, rtol, "value", floor=1e-6)
    weights = np.random.default_rng(7).normal(size=y.shape)
    (y * tx.asarray(weights)).sum().backward()
    (expected * torch.from_numpy(np.asarray(weights))).sum().backward()
    for i, (x, t) in enumerate(zip(xs, ts, strict=True)):
        if t.requires_grad and t.grad is not None:
            close(x.grad, t.grad, rtol, f"gradient of argument {i}", floor=1e-6)


def twins(ours, theirs, rng):
    """Two modules with the same random float64 values, moved by a state dict."""
    ours, theirs = ours.to(dtype=tx.float64), theirs.double()
    values = {k: rng.normal(size=tuple(v.shape)) for k, v in theirs.state_dict().items()}
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in values.items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())  # PyTorch's own tensors
    return ours, theirs


def compare_modules(ours, theirs, *arrays):
    compare(ours, theirs, *arrays)
    expected = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(expected)
    for name, p in ours.named_parameters():
        close(p.grad, expected[name].grad, 1e-10, f"gradient of {name}", floor=1e-6)


# -- activations and norms --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["relu", "gelu", "sigmoid", "tanh", "silu", "softplus", "gelu_tanh"]
)
def test_activations(name, rng):
    x = rng.normal(size=(4, 5)) * 3
    if name == "gelu_tanh":
        compare(
            lambda x: F.gelu(x, approximate="tanh"), lambda x: TF.gelu(x, approximate="tanh"), x
        )
    else:
        compare(getattr(F, name), getattr(TF, name), x)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(name, dim, rng):
    x = rng.normal(size=(2, 3, 4)) * 10
    compare(lambda x: getattr(F, name)(x, dim=dim), lambda x: getattr(TF, name)(x, dim=dim), x)


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_layer_norm(shape, rng):
    x, w, b = rng.normal(size=(2, 3, 4)), rng.normal(size=shape), rng.normal(size=shape)
    compare(
        lambda x, w, b: F.layer_norm(x, shape, w, b, eps=1e-3),
        lambda x, w, b: TF.layer_norm(x, shape, w, b, eps=1e-3),
        x,
        w,
        b,
    )
    compare(lambda x: F.layer_norm(x, shape), lambda x: TF.layer_norm(x, shape), x)


# -- losses -----------------------------------------------------------------------------------

REDUCTIONS = ["mean", "sum", "none"]
CLASS_SHAPES = [((6, 5), (6,)), ((2, 5, 3), (2, 3)), ((2, 5, 3, 2), (2, 3, 2)), ((5,), ())]


@each("reduction", REDUCTIONS)
@each("shapes", CLASS_SHAPES)
@each("smoothing", [0.0, 0.2])
@each("ignore", [-100, 2])
def test_cross_entropy(reduction, shapes, smoothing, ignore, rng):
    logits, target = rng.normal(size=shapes[0]) * 3, rng.integers(0, 5, size=shapes[1])
    target = np.asarray(target)
    if target.ndim == 0:
        target = np.asarray(1)
    options = {"ignore_index": ignore, "label_smoothing": smoothing, "reduction": reduction}
    compare(
        lambda x, t: F.cross_entropy(x, t, **options),
        lambda x, t: TF.cross_entropy(x, t, **options),
        logits,
        target,
    )


def test_cross_entropy_of_ignored_targets_only():
    logits, target = np.zeros((2, 3)), np.full(2, -100)
    assert np.isnan(F.cross_entropy(tx.asarray(logits), tx.asarray(target)).item())
    assert F.cross_entropy(tx.asarray(logits), tx.asarray(target), reduction="sum").item() == 0


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shapes", CLASS_SHAPES)
def test_nll_loss(reduction, shapes, rng):
    x, target = rng.normal(size=shapes[0]), np.asarray(rng.integers(0, 5, size=shapes[1]))
    compare(
        lambda x, t: F.nll_loss(x, t, reduction=reduction, ignore_index=4),
        lambda x, t: TF.nll_loss(x, t, reduction=reduction, ignore_index=4),
        x,
        np.where(target == 4, 1, target) if target.ndim == 0 else target,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "name", ["mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"]
)
def test_losses_of_numbers(name, reduction, rng):
    input = rng.uniform(size=(4, 3)) if name == "binary_cross_entropy" else rng.normal(size=(4, 3))
    compare(
        lambda x, t: getattr(F, name)(x, t, reduction=reduction),
        lambda x, t: getattr(TF, name)(x, t, reduction=reduction),
        input,
        rng.uniform(size=(4, 3)),
    )


def test_binary_cross_entropy_at_its_ends():
    p = np.array([0.0, 0.0, 1.0, 1.0, 1e-60, 1e-8])
    t = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    compare(
        lambda p: F.binary_cross_entropy(p, tx.asarray(t), reduction="none"),
        lambda p: TF.binary_cross_entropy(p, torch.from_numpy(t), reduction="none"),
        p,
        rtol=1e-8,  # PyTorch's 1e-12 is a float32
    )
    x = np.array([-1000.0, 1000.0, -1000.0, 1000.0, 0.5, -40.0])
    compare(
        lambda x: F.binary_cross_entropy_with_logits(x, tx.asarray(t), reduction="none"),
        lambda x: TF.binary_cross_entropy_with_logits(x, torch.from_numpy(t), reduction="none"),
        x,
    )


# -- linear and embedding ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias, rng):
    ours, theirs = twins(nn.Linear(4, 5, bias), torch.nn.Linear(4, 5, bias), rng)
    compare_modules(ours, theirs, rng.normal(size=shape))


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx, rng):
    ours, theirs = twins(
        nn.Embedding(6, 3, padding_idx), torch.nn.Embedding(6, 3, padding_idx), rng
    )
    compare_modules(ours, theirs, rng.integers(0, 6, size=(4, 5)))


def test_one_hot(rng):
    x = rng.integers(0, 4, size=(2, 3))
    ours = np.asarray(F.one_hot(tx.asarray(x), 5))
    assert (ours == TF.one_hot(torch.from_numpy(x), 5).numpy()).all()


# -- attention --------------------------------------------------------------------------------


def masks(rng):
    """Masks of (3, 5) scores in every form, each query keeping a key."""
    allowed = rng.uniform(size=(3, 5)) > 0.4
    allowed[:, 0] = True
    added = rng.normal(size=(3, 5))
    return {
        "none": None,
        "boolean": allowed,
        "added": added,
        "infinite": np.where(allowed, added, -np.inf),
    }


@pytest.mark.parametrize("kind", ["none", "boolean", "added", "infinite"])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_scaled_dot_product_attention(kind, scale, rng):
    q = rng.normal(size=(2, 4, 3, 6))
    k, v = rng.normal(size=(2, 4, 5, 6)), rng.normal(size=(2, 4, 5, 7))
    mask = masks(rng)[kind]
    arrays = (q, k, v) if mask is None else (q, k, v, mask)
    compare(
        lambda *xs: F.scaled_dot_product_attention(*xs, scale=scale),
        lambda *xs: TF.scaled_dot_product_attention(*xs, scale=scale),
        *arrays,
    )


@pytest.mark.parametrize("keys", [3, 5])
def test_causal_attention(keys, rng):
    q, k, v = (rng.normal(size=(2, n, 6)) for n in (3, keys, keys))
    compare(
        lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=True),
        lambda *xs: TF.scaled_dot_product_attention(*xs, is_causal=True),
        q,
        k,
        v,
    )


def test_a_query_without_keys(rng):
    q, k, v = (rng.normal(size=(2, 3, 4)) for _ in range(3))
    mask = np.array([[True, True, False], [False] * 3, [False, True, True]])
    compare(
        lambda *xs: F.scaled_dot_product_attention(*xs, tx.asarray(mask)),
        lambda *xs: TF.scaled_dot_product_attention(*xs, torch.from_numpy(mask)),
        q,
        k,
        v,
    )


def attentions(rng, **options):
    return twins(
        nn.MultiheadAttention(6, 2, **options), torch.nn.MultiheadAttention(6, 2, **options), rng
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
def test_multihead_self_attention(bias, batch_first, need_weights, rng):
    ours, theirs = attentions(rng, bias=bias, batch_first=batch_first)
    x = rng.normal(size=(3, 4, 6))
    for part in (0, 1) if need_weights else (0,):
        ours.zero_grad()
        theirs.zero_grad()
        compare(
            lambda x, part=part: ours(x, x, x, need_weights=need_weights)[part],
            lambda x, part=part: theirs(x, x, x, need_weights=need_weights)[part],
            x,
        )
        for name, p in theirs.named_parameters():
            if p.grad is not None:
                mine = ours.get_submodule(name.rpartition(".")[0])
                close(getattr(mine, name.rpartition(".")[2]).grad, p.grad, 1e-10, name)


@pytest.mark.parametrize("shared", ["key is value", "all differ"])
@pytest.mark.parametrize("batched", [True, False])
def test_multihead_cross_attention(shared, batched, rng):
    ours, theirs = attentions(rng, batch_first=True)
    query, key, value = (rng.normal(size=(2, n, 6) if batched else (n, 6)) for n in (3, 5, 5))
    if shared == "key is value":
        compare_modules(
            as_module(ours, lambda q, k: ours(q, k, k)[0]),
            as_module(theirs, lambda q, k: theirs(q, k, k)[0]),
            query,
            key,
        )
    else:
        compare_modules(
            as_module(ours, lambda *xs: ours(*xs)[0]),
            as_module(theirs, lambda *xs: theirs(*xs)[0]),
            query,
            key,
            value,
        )


def as_module(module, call):
    """``call`` with the parameters of ``module``, for ``compare_modules``."""

    def wrapped(*xs):
        return call(*xs)

    wrapped.named_parameters = module.named_parameters
    return wrapped


@each("padding", ["none", "boolean", "added"])
@each("attn", ["none", "boolean", "added", "boolean by head", "added by head"])
@each("need_weights", [True, False])
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
def test_multihead_masks(padding, attn, need_weights, rng):
    ours, theirs = attentions(rng, batch_first=True)
    q, k = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 5, 6))
    padded = rng.uniform(size=(2, 5)) > 0.7
    forbidden = rng.uniform(size=(4, 3, 5) if "head" in attn else (3, 5)) > 0.7
    padded[:, 0], forbidden[..., 0] = False, False  # every query keeps a key
    options = {}
    if padding != "none":
        options["key_padding_mask"] = padded if padding == "boolean" else rng.normal(size=(2, 5))
    if attn != "none":
        added = np.where(forbidden, -np.inf, rng.normal(size=forbidden.shape))
        options["attn_mask"] = forbidden if "boolean" in attn else added
    mine = {name: tx.asarray(mask) for name, mask in options.items()}
    torchs = {name: torch.from_numpy(mask) for name, mask in options.items()}
    compare_modules(
        as_module(ours, lambda q, k: ours(q, k, k, need_weights=need_weights, **mine)[0]),
        as_module(theirs, lambda q, k: theirs(q, k, k, need_weights=need_weights, **torchs)[0]),
        q,
        k,
    )


def test_multihead_weights_by_head(rng):
    ours, theirs = attentions(rng, batch_first=True)
    x = rng.normal(size=(2, 3, 6))
    compare(
        lambda x: ours(x, x, x, average_attn_weights=False)[1],
        lambda x: theirs(x, x, x, average_attn_weights=False)[1],
        x,
    )


# -- the transformer --------------------------------------------------------------------------


def layers(**options):
    options = {"dropout": 0.0} | options
    return (
        nn.TransformerEncoderLayer(6, 2, 10, **options),
        torch.nn.TransformerEncoderLayer(6, 2, 10, **options),
    )


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_encoder_layer(norm_first, bias, activation, batch_first, rng):
    options = {"norm_first": norm_first, "activation": activation, "batch_first": batch_first}
    ours, theirs = twins(*layers(bias=bias, layer_norm_eps=1e-3, **options), rng)
    compare_modules(ours, theirs, rng.normal(size=(3, 4, 6)))


def test_encoder_layer_with_masks(rng):
    ours, theirs = twins(*layers(batch_first=True), rng)
    padded = np.array([[False, False, False, True], [False, False, True, True]])
    later = np.triu(np.ones((4, 4), dtype=bool), k=1)
    mine = [tx.asarray(mask) for mask in (later, padded)]
    torchs = [torch.from_numpy(mask) for mask in (later, padded)]
    x = rng.normal(size=(2, 4, 6))
    compare_modules(
        as_module(ours, lambda x: ours(x, *mine)),
        as_module(theirs, lambda x: theirs(x, *torchs)),
        x,
    )
    mask = tx.asarray(later)
    close(ours(tx.asarray(x), is_causal=True), theirs(torch.from_numpy(x), torchs[0]), 1e-10)
    assert bool((ours(tx.asarray(x), is_causal=True) == ours(tx.asarray(x), mask)).all())


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_encoder(rng):
    ours, theirs = layers(batch_first=True, norm_first=True)
    ours = nn.TransformerEncoder(ours, 3, nn.LayerNorm(6))
    theirs = torch.nn.TransformerEncoder(theirs, 3, torch.nn.LayerNorm(6))
    ours, theirs = twins(ours, theirs, rng)
    compare_modules(ours, theirs, rng.normal(size=(2, 4, 6)))


# -- modules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Linear", (3, 4)),
        ("Embedding", (3, 4, 1)),
        ("LayerNorm", ((3, 4),)),
        ("Flatten", ()),
        ("ReLU", ()),
        ("GELU", ()),
        ("SiLU", ()),
        ("Sigmoid", ()),
        ("Tanh", ()),
        ("Identity", ()),
        ("MultiheadAttention", (4, 2)),
        ("TransformerEncoderLayer", (4, 2, 8)),
    ],
)
def test_state_dicts_have_the_same_keys_and_shapes(name, arguments):
    ours = getattr(nn, name)(*arguments).state_dict()
    theirs = getattr(torch.nn, name)(*arguments).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: tuple(v.shape) for k, v in theirs.items()}
    assert list(ours) == list(theirs)


def test_a_state_dict_goes_back_to_torch(rng):
    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    theirs.load_state_dict({k: torch.asarray(v.numpy()) for k, v in ours.state_dict().items()})
    x = rng.normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(
        np.asarray(ours(tx.asarray(x)).detach()), theirs(torch.from_numpy(x)).detach(), rtol=1e-5
    )


def test_repr_is_that_of_torch():
    def model(n):
        inner = n.Sequential(n.Embedding(3, 4, 1), n.LayerNorm(4), n.Flatten(), n.GELU())
        several = n.ModuleList([n.Linear(2, 2), n.Linear(2, 2), n.ReLU(), n.Linear(2, 2)])
        return n.Sequential(n.Linear(2, 3), n.ReLU(), inner, several)

    counts_left_out = re.sub(r"  # .* parameters", "", repr(model(nn)))
    assert counts_left_out == repr(model(torch.nn))


@pytest.mark.parametrize("name", ["linear", "tanh", "relu", "leaky_relu", "sigmoid", "selu"])
def test_gains(name):
    assert nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
