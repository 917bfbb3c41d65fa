"""Attention against PyTorch in every option: values and gradients in float64, on every backend."""

import functools
import itertools

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.pytorch import agree, problem, torch
from tests.nn.torch_samples import called, function_case, functions
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, ShapeError, TinyError

F, TF, TNN = nn.functional, torch.nn.functional, torch.nn


def twins(ours, theirs, rng):
    """Two modules with the same random values; their state dicts have the same keys in order."""
    ours, theirs = ours.to(dtype=tx.float64), theirs.double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    values = {
        k: torch.asarray(rng.normal(size=tuple(v.shape))) for k, v in theirs.state_dict().items()
    }
    theirs.load_state_dict(values)
    ours.load_state_dict(values)
    return ours, theirs


def options_of(**choices):
    """Every combination: {"a": (1, 2)} -> {"a": 1}, {"a": 2}."""
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


def thinned(options, backend):
    """All options on NumPy. The formulas are one for all backends, so elsewhere the first and the
    last, between which every flag has both of its values."""
    return options if backend == "numpy" else [options[0], options[-1]]


def forbidden(rng, *shape):
    mask = rng.uniform(size=shape) > 0.6
    mask[..., 0] = False  # every query keeps a key
    return mask


# -- scaled_dot_product_attention -------------------------------------------------------------


SCORES = {"3-D": ((3, 4, 2), (3, 5, 2)), "one key": ((2, 3, 2), (2, 1, 2))}
SCORES |= {"2-D": ((4, 2), (5, 2)), "one query": ((2, 3, 1, 2), (2, 3, 5, 2))}
SCORES |= {"broadcast": ((3, 4, 2), (2, 3, 5, 2)), "more queries": ((2, 3, 4, 2), (2, 1, 3, 2))}
SCORES |= {"no batch": ((0, 4, 2), (0, 5, 2)), "no query": ((2, 0, 2), (2, 5, 2))}
SCORES |= {"no key": ((2, 4, 2), (2, 0, 2)), "no width": ((2, 4, 0), (2, 5, 0))}


@each("kind", SCORES)
def test_attention_of_any_shape(kind, backend, rng):
    left, right = SCORES[kind]
    q, k, v = (rng.normal(size=s) for s in (left, right, (*right[:-1], 3)))
    batch, scores = np.broadcast_shapes(left[:-2], right[:-2]), (left[-2], right[-2])
    shapes = [scores, (1, scores[1]), (scores[0], 1), (*batch, *scores)]
    masks = [None, *(forbidden(rng, *s) if 0 not in s else np.ones(s, bool) for s in shapes)]
    for mask in [*masks, *(rng.normal(size=s) for s in shapes)]:
        for options in options_of(scale=(None, -0.3)):
            mine = functools.partial(F.scaled_dot_product_attention, **options)
            his = functools.partial(TF.scaled_dot_product_attention, **options)
            allowed = ~mask if mask is not None and mask.dtype.kind == "b" else mask
            agree(mine, his, q, k, v, allowed, what=f"{kind}, {options}, {mask}")
            if mask is None:
                mine = functools.partial(mine, is_causal=True)
                his = functools.partial(his, is_causal=True)
                agree(mine, his, q, k, v, what=f"{kind}, {options}, causal")


@each("heads", [(4, 2, 2), (4, 1, 1), (4, 4, 4), (6, 2, 3)])
@each("batch", [(), (2,), (2, 1)])
def test_groups_of_heads(heads, batch, backend, rng):
    lengths = (3, 4, 4)
    arrays = [rng.normal(size=(*batch, h, n, 2)) for h, n in zip(heads, lengths, strict=True)]
    for mask in (None, ~forbidden(rng, 3, 4), rng.normal(size=(*batch, heads[0], 3, 4))):
        for causal in (False, True) if mask is None else (False,):
            both = [
                functools.partial(f, is_causal=causal, enable_gqa=True)
                for f in (F.scaled_dot_product_attention, TF.scaled_dot_product_attention)
            ]
            agree(*both, *arrays, mask, what=f"{mask}, causal {causal}")


def test_attention_of_views(backend, rng):
    """Inputs that are not contiguous: heads split from a batch of time, every second key."""
    arrays = [rng.normal(size=(2, n, 3, 4)) for n in (4, 10, 10)]

    def views(permute, q, k, v):
        return permute(q, (0, 2, 1, 3)), *(permute(x[:, ::2], (0, 2, 1, 3)) for x in (k, v))

    for causal in (False, True):
        agree(
            lambda *xs, causal=causal: F.scaled_dot_product_attention(
                *views(tx.permute_dims, *xs), is_causal=causal
            ),
            lambda *ts, causal=causal: TF.scaled_dot_product_attention(
                *views(torch.permute, *ts), is_causal=causal
            ),
            *arrays,
        )


def test_the_last_queries_of_many_places(backend, rng):
    """As with a cache of keys: L queries are the last of S places."""
    q, k, v = (rng.normal(size=(2, 3, n, 4)) for n in (5, 5, 5))
    whole = F.scaled_dot_product_attention(*map(tx.asarray, (q, k, v)), is_causal=True)
    for last in (1, 2):
        mask = None if last == 1 else F.causal_mask(5)[-last:]
        y = F.scaled_dot_product_attention(*map(tx.asarray, (q[:, :, -last:], k, v)), mask)
        np.testing.assert_allclose(np.asarray(y), np.asarray(whole)[:, :, -last:], rtol=1e-12)


def without_dropout(name, **options):
    samples = list(functions()[name].sample_inputs("cpu", torch.float64, **options))
    numbers = ([x for x in (*s.args, *s.kwargs.values()) if type(x) is float] for s in samples)
    return [s for s, found in zip(samples, numbers, strict=True) if 0.5 not in found]


def test_samples_without_dropout(backend):
    for name, options in (
        ("scaled_dot_product_attention", {"requires_grad": True}),
        ("multi_head_attention_forward", {"requires_grad": False}),  # which gives many more
    ):
        samples = without_dropout(name, **options)
        assert len(samples) > 12
        for i, sample in list(enumerate(samples))[:: 1 if backend == "numpy" else 3]:
            for x in (sample.input, *sample.args, *sample.kwargs.values()):
                if torch.is_tensor(x) and x.is_floating_point():
                    # within ±9 weights reach 1, and gradients are differences lost in rounding
                    x.detach().mul_(0.3)
                    x.requires_grad_()
            case = function_case(functions()[name], called(name), sample, "float64", "")
            assert problem(case, "float64") is None, f"{name} #{i}: {problem(case, 'float64')}"


# -- multi-head attention ---------------------------------------------------------------------


def attentions(rng, **options):
    return twins(
        nn.MultiheadAttention(6, 2, **options), TNN.MultiheadAttention(6, 2, **options), rng
    )


WIDTHS = [{}, {"kdim": 5}, {"kdim": 5, "vdim": 3}]


@each("widths", WIDTHS)
@each("add_bias_kv", [False, True])
@each("add_zero_attn", [False, True])
def test_multihead_attention(widths, add_bias_kv, add_zero_attn, backend, rng):
    more = {"add_bias_kv": add_bias_kv, "add_zero_attn": add_zero_attn}
    for made in ({"batch_first": True}, {"bias": False}):
        both = attentions(rng, **widths, **more, **made)
        cases = list(itertools.product((True, False), (None, "boolean", "added", "mixed")))
        for batched, masked in cases if backend == "numpy" else cases[len(widths) :: 3]:
            shapes = [(3, 6), (4, widths.get("kdim", 6)), (4, widths.get("vdim", 6))]
            if batched:
                shapes = [(2, *s) if "batch_first" in made else (s[0], 2, s[1]) for s in shapes]
            arrays = [rng.normal(size=s) for s in shapes]
            padding = forbidden(rng, 2, 4) if batched else forbidden(rng, 4)
            attn = forbidden(rng, 4 if batched else 2, 3, 4)
            if masked in ("added", "mixed"):
                attn = np.where(attn, -np.inf, rng.normal(size=attn.shape))
            if masked == "added":
                padding = np.where(padding, -np.inf, 0.0)
            masks = (padding, attn) if masked else (None, None)
            for options in ({}, {"average_attn_weights": False}, {"need_weights": False}):
                agree(
                    *(call_of(module, **options) for module in both),
                    *arrays,
                    *masks,
                    modules=both,
                    what=f"{made}, batched {batched}, {masked}, {options}",
                )


def call_of(module, **options):
    return lambda q, k, v, padding=None, mask=None: module(
        q, k, v, key_padding_mask=padding, attn_mask=mask, **options
    )


@pytest.mark.parametrize("same", ["query, key, value", "key, value", "query, value"])
def test_inputs_that_are_one(same, backend, rng):
    both = attentions(rng, batch_first=True)
    if same == "query, key, value":
        x = rng.normal(size=(2, 3, 6))
        agree(*(lambda x, m=m: m(x, x, x) for m in both), x, modules=both)
        return
    x, z = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 3, 6))
    order = (lambda m, x, z: m(x, z, z)) if same == "key, value" else (lambda m, x, z: m(x, z, x))
    agree(*(functools.partial(order, m) for m in both), x, z, modules=both)


@each("need_weights", [True, False])
@each("more", options_of(add_bias_kv=(False, True), add_zero_attn=(False, True)))
def test_causal_multihead_attention(more, need_weights, backend, rng):
    """``is_causal`` alone is the mask that PyTorch asks for; what is added at the end is seen."""
    both = attentions(rng, batch_first=True, **more)
    later = np.triu(np.ones((4, 4), dtype=bool), k=1)
    padding = np.zeros((2, 4), dtype=bool)
    padding[0, 3] = True
    x = rng.normal(size=(2, 4, 6))
    for padded in (None, padding):
        hidden = {} if padded is None else {"key_padding_mask": padded}
        ours = {name: tx.asarray(mask) for name, mask in hidden.items()}
        theirs = {name: torch.asarray(mask) for name, mask in hidden.items()}
        theirs["attn_mask"] = torch.asarray(later)
        for mask in (None, tx.asarray(later)):
            agree(
                lambda x, mask=mask, ours=ours: both[0](
                    x, x, x, attn_mask=mask, is_causal=True, need_weights=need_weights, **ours
                ),
                lambda x, theirs=theirs: both[1](x, x, x, need_weights=need_weights, **theirs),
                x,
                modules=both,
                what=f"{padded}, {mask}",
            )


@each("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (1, 1, 1)])
@each("need_weights", [True, False])
def test_attention_of_nothing(shape, need_weights, backend, rng):
    """An empty batch, no query, no key; and one of each."""
    n, length, keys = shape
    for options in ({}, {"kdim": 6, "add_bias_kv": True}, {"add_zero_attn": True}):
        both = attentions(rng, batch_first=True, **options)
        query, key = rng.normal(size=(n, length, 6)), rng.normal(size=(n, keys, 6))
        agree(
            *(lambda q, k, m=m: m(q, k, k, need_weights=need_weights) for m in both),
            query,
            key,
            modules=both,
            what=f"{options}",
        )


@pytest.mark.parametrize("heads", [1, 6])
def test_one_head_and_heads_of_one(heads, backend, rng):
    both = twins(nn.MultiheadAttention(6, heads), TNN.MultiheadAttention(6, heads), rng)
    q, k, v = (rng.normal(size=(n, 2, 6)) for n in (3, 4, 4))
    agree(*(call_of(m) for m in both), q, k, v, modules=both)


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_without_keys_gets_zeros(need_weights, backend, rng):
    """PyTorch's weights are NaN there; its zeros are those of need_weights=False."""
    both = attentions(rng, batch_first=True)
    padding = np.array([[True] * 4, [False, True, False, False]])
    q, k = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 4, 6))
    hidden = (tx.asarray(padding), torch.asarray(padding))
    agree(
        lambda q, k: both[0](q, k, k, hidden[0], need_weights=need_weights)[0],
        lambda q, k: both[1](q, k, k, hidden[1], need_weights=False)[0],
        q,
        k,
        modules=both,
    )
    weights = both[0](*map(tx.asarray, (q, k, k)), hidden[0])[1]
    assert (np.asarray(weights.detach())[0] == 0).all()


@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True}, {"kdim": 5, "add_zero_attn": True}])
def test_second_derivatives(options, backend, rng):
    """The gradients of attention, differentiated again, by inputs and weights."""
    both = attentions(rng, batch_first=True, **options)
    q, k, v = (rng.normal(size=s) for s in ((2, 3, 6), (2, 4, options.get("kdim", 6)), (2, 4, 6)))
    added = rng.normal(size=(3, 4))
    weight = rng.normal(size=(2, 3, 6))

    def slopes(grad, module, as_array, need_weights, *xs):
        y, _ = module(*xs[:3], attn_mask=xs[3], need_weights=need_weights)
        loss = (y * y * as_array(weight)).sum()
        found = grad(loss, [*xs, *module.parameters()], create_graph=True, allow_unused=True)
        return [g for g in found if g is not None]

    for need_weights in (True, False):  # PyTorch differentiates twice with weights only
        agree(
            functools.partial(slopes, tx.autograd.grad, both[0], tx.asarray, need_weights),
            functools.partial(slopes, torch.autograd.grad, both[1], torch.asarray, True),
            *(q, k, v, added),
            modules=both,
        )


@pytest.mark.parametrize("need_weights", [True, False])
def test_static_keys(need_weights, backend, rng):
    """Keys and values given by head, in the place of projected ones."""
    shapes = {"q": (3, 2, 6), "k": (4, 2, 6), "w": (18, 6), "b": (18,), "o": (6, 6), "c": (6,)}
    q, k, w, b, o, c = (rng.normal(size=s) for s in shapes.values())
    key, value, padding = *rng.normal(size=(2, 4, 5, 3)), forbidden(rng, 2, 5)

    def call(f, q, k, w, b, o, c, key, value, padding):
        return [
            f(q, k, k, 6, 2, w, b, None, None, zero, 0.0, o, c, key_padding_mask=padding,
              need_weights=need_weights, static_k=key, static_v=value)
            for zero in (False, True)
        ]  # fmt: skip

    both = [functools.partial(call, f.multi_head_attention_forward) for f in (F, TF)]
    agree(*both, q, k, w, b, o, c, key, value, padding)


# -- what is refused --------------------------------------------------------------------------


def forward(n, f, o, **options):
    given = {
        "in_proj_weight": o(12, 4),
        "in_proj_bias": o(12),
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": o(4, 4),
        "out_proj_bias": o(4),
    } | options
    return f.multi_head_attention_forward(o(3, 2, 4), o(5, 2, 4), o(5, 2, 4), 4, 2, **given)


def attend(n, o, *shapes, **masks):
    return n.MultiheadAttention(4, 2)(*(o(*s) for s in shapes or ((3, 2, 4),) * 3), **masks)


REFUSED = {
    "heads": (lambda n, f, o: n.MultiheadAttention(6, 4), "6 is not a multiple of num_heads 4"),
    "no heads": (lambda n, f, o: n.MultiheadAttention(6, 0), "not a multiple of num_heads 0"),
    "no width": (lambda n, f, o: n.MultiheadAttention(0, 1), "embed_dim 0 is not"),
    "key": (lambda n, f, o: attend(n, o, (3, 2, 4), (3, 2, 5), (3, 2, 5)), r"got key \(3, 2, 5\)"),
    "values": (lambda n, f, o: attend(n, o, (3, 2, 4), (3, 2, 4), (5, 2, 4)), "as many values as"),
    "batch": (lambda n, f, o: attend(n, o, (3, 2, 4), (3, 1, 4), (3, 1, 4)), "a batch of keys for"),
    "axes": (lambda n, f, o: attend(n, o, (3, 4), (3, 2, 4), (3, 2, 4)), r"got key \(3, 2, 4\)"),
    "4-D": (lambda n, f, o: attend(n, o, *[(1, 3, 2, 4)] * 3), r"got query \(1, 3, 2, 4\)"),
    "padding": (
        lambda n, f, o: attend(n, o, key_padding_mask=o(3, 2)),
        r"\(N, S\) = \(2, 3\), got",
    ),
    "mask": (
        lambda n, f, o: attend(n, o, attn_mask=o(2, 3, 3)),
        r"or \(N \* H, L, S\) = \(4, 3, 3",
    ),
    "padding without a batch": (
        lambda n, f, o: attend(n, o, *[(3, 4)] * 3, key_padding_mask=o(1, 3)),
        r"key_padding_mask must be \(N, S\) = \(1, 3\), got \(1, 1, 3\)",
    ),
    "no weight": (lambda n, f, o: forward(n, f, o, in_proj_weight=None), "expects in_proj_weight"),
    "weight": (lambda n, f, o: forward(n, f, o, in_proj_weight=o(8, 4)), r"\(3 E, E\).* \(8, 4\)"),
    "no separate weight": (
        lambda n, f, o: forward(n, f, o, use_separate_proj_weight=True),
        "q_proj_weight .* got None, None, None",
    ),
    "one bias": (
        lambda n, f, o: forward(n, f, o, bias_k=o(4)),
        r"both or none of bias_k and bias_v, got \(4,\), None",
    ),
    "a bias to static keys": (
        lambda n, f, o: forward(n, f, o, bias_k=o(4), bias_v=o(4), static_k=o(4, 6, 2)),
        "are for projected keys|as many values",
    ),
    "static": (
        lambda n, f, o: forward(n, f, o, static_k=o(3, 5, 2)),
        r"\(4, S, 2\), got \(3, 5, 2",
    ),
}


@each("name", REFUSED)
def test_what_both_refuse(name, backend):
    call, message = REFUSED[name]
    with pytest.raises((ShapeError, ArgumentError), match=message):
        call(nn, F, lambda *shape: tx.ones(shape))
    with pytest.raises((RuntimeError, ValueError, AssertionError)):
        call(TNN, TF, torch.ones)


def test_masks_are_boolean_or_floating(backend):
    for name, shape in (("key_padding_mask", (2, 3)), ("attn_mask", (3, 3))):
        with pytest.raises(DTypeError, match=rf"{name} is boolean .* got tinyxp.int64"):
            attend(nn, lambda *s: tx.ones(s), **{name: tx.ones(shape, dtype=tx.int64)})
        with pytest.raises(TinyError, match="expects Tensors, got ndarray"):
            attend(nn, lambda *s: tx.ones(s), **{name: np.ones(shape)})
