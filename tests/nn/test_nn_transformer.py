"""Transformers against PyTorch in every option: values and gradients in float64."""

import inspect

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.pytorch import agree, torch
from tests.nn.test_nn_attention import forbidden, options_of, thinned, twins
from tinyxp import nn
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn.functional import dropouts
from tinyxp.random import Generator

F, TF, TNN = nn.functional, torch.nn.functional, torch.nn
pytestmark = pytest.mark.filterwarnings(  # what PyTorch says of its faster ways and of masks
    "ignore:enable_nested_tensor", "ignore:The PyTorch API of nested", "ignore:Support for mismatch"
)


def test_the_signatures_are_those_of_pytorch():
    own = {"self", "generator", "args", "kwargs"}
    names = ("Encoder", "EncoderLayer", "Decoder", "DecoderLayer", "")
    pairs = [(F.multi_head_attention_forward, TF.multi_head_attention_forward)]
    for name in ("MultiheadAttention", *(f"Transformer{name}" for name in names)):
        mine, his = getattr(nn, name), getattr(TNN, name)
        pairs += [(mine.__init__, his.__init__), (mine.forward, his.forward)]
    mask = "generate_square_subsequent_mask"
    pairs.append((getattr(nn.Transformer, mask), getattr(TNN.Transformer, mask)))
    for mine, his in pairs:
        found = [
            {
                name: getattr(p.default, "__name__", p.default)
                for name, p in inspect.signature(f).parameters.items()
                if name not in own
            }
            for f in (mine, his)
        ]
        assert found[0] == found[1]
        assert list(found[0]) == list(found[1])


# -- layers -----------------------------------------------------------------------------------


def both(kind, rng, *sizes, **options):
    """The module of both, as constructed, with the same random values."""
    sizes = sizes or (6, 2, 8)
    return twins(*(getattr(n, kind)(*sizes, **options) for n in (nn, TNN)), rng)


def places(batch, batch_first, *lengths):
    """The shapes of inputs: with a batch first or second, or without."""
    if batch is None:
        return [(n, 6) for n in lengths]
    return [(batch, n, 6) if batch_first else (n, batch, 6) for n in lengths]


def masks_of(rng, kind, batch, queries, keys):
    """(attn_mask, key_padding_mask) of one kind."""
    if kind == "none":
        return None, None
    attn = forbidden(rng, *(() if kind == "boolean" else (2 * (batch or 1),)), queries, keys)
    padding = forbidden(rng, *(() if batch is None else (batch,)), keys)
    if kind == "boolean":
        return attn, padding
    return np.where(attn, -np.inf, rng.normal(size=attn.shape)), np.where(padding, -np.inf, 0.0)


@each("kind", ["TransformerEncoderLayer", "TransformerDecoderLayer"])
@each("norm_first", [False, True])
@each("mask", ["none", "boolean", "added by head"])
def test_layers(kind, norm_first, mask, backend, rng):
    decodes = "Decoder" in kind
    for made in thinned(options_of(bias=(True, False), batch_first=(True, False)), backend):
        options = {"norm_first": norm_first, "layer_norm_eps": 1e-3, "dropout": 0.0, **made}
        modules = both(kind, rng, **options)
        for batch in (2, None):
            shapes = places(batch, made["batch_first"], 3, *([4] if decodes else []))
            arrays = [rng.normal(size=s) for s in shapes]
            masks = list(masks_of(rng, mask, batch, 3, 3))
            if decodes:
                more = masks_of(rng, mask, batch, 3, 4)
                masks = [masks[0], more[0], masks[1], more[1]]
            agree(*modules, *arrays, *masks, modules=modules, what=f"{made}, batch {batch}")


@each("kind", ["TransformerEncoderLayer", "TransformerDecoderLayer"])
@each("activation", ["relu", "gelu", "silu", "GELU"])
def test_activations(kind, activation, backend, rng):
    """By name, as a function, as a module, which its layer then holds."""
    named = activation in ("relu", "gelu")
    mine, his = (
        activation
        if named
        else getattr(f, activation)
        if hasattr(f, activation)
        else getattr(n, activation)("tanh")
        for f, n in ((F, nn), (TF, TNN))
    )
    modules = twins(
        getattr(nn, kind)(6, 2, 8, 0.0, mine), getattr(TNN, kind)(6, 2, 8, 0.0, his), rng
    )
    children = [[name for name, _ in module.named_children()] for module in modules]
    assert children[0] == children[1]
    arrays = [rng.normal(size=(3, 2, 6)) for _ in range(1 + ("Decoder" in kind))]
    agree(*modules, *arrays, modules=modules)


@pytest.mark.parametrize("norm_first", [False, True])
def test_causal_layers(norm_first, backend, rng):
    """``is_causal`` alone is PyTorch's with its mask; with a mask it changes nothing."""
    options = {"norm_first": norm_first, "dropout": 0.0}
    later = TNN.Transformer.generate_square_subsequent_mask(3, dtype=torch.float64)
    own = nn.Transformer.generate_square_subsequent_mask(3, dtype=tx.float64)
    assert own.tolist() == later.tolist()
    x, memory = rng.normal(size=(3, 2, 6)), rng.normal(size=(3, 2, 6))
    encoder = both("TransformerEncoderLayer", rng, **options)
    decoder = both("TransformerDecoderLayer", rng, **options)
    for mask in (None, own):
        agree(
            lambda x, mask=mask: encoder[0](x, mask, is_causal=True),
            lambda x: encoder[1](x, later, is_causal=True),
            x,
            modules=encoder,
        )
        agree(
            lambda x, z, mask=mask: decoder[0](
                x, z, mask, mask, tgt_is_causal=True, memory_is_causal=True
            ),
            lambda x, z: decoder[1](x, z, later, later, tgt_is_causal=True, memory_is_causal=True),
            x,
            memory,
            modules=decoder,
        )


@pytest.mark.parametrize("sizes", [(6, 1, 8), (6, 6, 1)])
@pytest.mark.parametrize("shape", [(1, 1, 6), (0, 2, 6), (2, 0, 6)])
def test_small_layers(sizes, shape, backend, rng):
    """One head, heads of one; one place, no sequence, no place."""
    for kind in ("TransformerEncoderLayer", "TransformerDecoderLayer"):
        modules = both(kind, rng, *sizes, dropout=0.0, batch_first=True)
        arrays = [rng.normal(size=shape) for _ in range(1 + ("Decoder" in kind))]
        agree(*modules, *arrays, modules=modules, what=kind)


# -- dropout ----------------------------------------------------------------------------------


def kept(shape):
    """A fixed pattern of what dropout keeps."""
    return (np.arange(np.prod(shape, dtype=int)) * 7 % 5 < 3).reshape(shape)


@pytest.fixture
def fixed_dropout(backend, monkeypatch):
    """Dropout by the same pattern each time; PyTorch's in attention too, which has it inside."""
    monkeypatch.setattr(dropouts, "_bernoulli", lambda x, *drawn: tx.asarray(kept(x.shape)))
    monkeypatch.setitem(tx.backends.current().__dict__, "kernels", {})  # which draw by themselves

    def dropout(x, p=0.5, training=True, inplace=False):
        if not training or p == 0:
            return x
        return torch.where(torch.asarray(kept(tuple(x.shape))), x / (1 - p), 0.0)

    def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False):
        scores = q @ k.mT / q.shape[-1] ** 0.5 + (0.0 if attn_mask is None else attn_mask)
        return dropout(torch.softmax(scores, -1), dropout_p) @ v

    monkeypatch.setattr(TF, "dropout", dropout)
    monkeypatch.setattr(TF, "scaled_dot_product_attention", attention)


@each("training", [True, False])
@each("norm_first", [False, True])
@each("batch_first", [False, True])
def test_places_of_dropout(training, norm_first, batch_first, fixed_dropout, backend, rng):
    """Every dropout of a layer stands where PyTorch has it, and is off in evaluation."""
    options = {"dropout": 0.4, "norm_first": norm_first, "batch_first": batch_first}
    for kind in ("TransformerEncoderLayer", "TransformerDecoderLayer"):
        mine = getattr(nn, kind)(6, 2, 8, **options)
        modules = twins(mine, getattr(TNN, kind)(6, 2, 8, **options), rng)
        for module in modules:
            module.train(training)
        arrays = [rng.normal(size=(3, 3, 6)) for _ in range(1 + ("Decoder" in kind))]
        agree(*modules, *arrays, modules=modules, what=kind)
    mine = nn.MultiheadAttention(6, 2, 0.4, batch_first=batch_first)
    modules = twins(mine, TNN.MultiheadAttention(6, 2, 0.4, batch_first=batch_first), rng)
    for module in modules:
        module.train(training)
    agree(
        *(lambda x, m=m: m(x, x, x) for m in modules), rng.normal(size=(3, 3, 6)), modules=modules
    )


# -- stacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("mask", ["none", "boolean", "added by head"])
def test_stacks(norm, mask, backend, rng):
    for kind in ("Encoder", "Decoder"):
        modules = twins(
            *(
                getattr(n, f"Transformer{kind}")(
                    getattr(n, f"Transformer{kind}Layer")(6, 2, 8, dropout=0.0),
                    2,
                    n.LayerNorm(6) if norm else None,
                )
                for n in (nn, TNN)
            ),
            rng,
        )
        lengths = (3,) if kind == "Encoder" else (3, 4)
        arrays = [rng.normal(size=s) for s in places(2, False, *lengths)]
        masks = list(masks_of(rng, mask, 2, 3, 3))
        if kind == "Decoder":
            more = masks_of(rng, mask, 2, 3, 4)
            masks = [masks[0], more[0], masks[1], more[1]]
        agree(*modules, *arrays, *masks, modules=modules, what=kind)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("mask", ["none", "boolean", "added by head"])
def test_transformer(norm_first, mask, backend, rng):
    for made in thinned(options_of(bias=(True, False), batch_first=(True, False)), backend):
        options = {"dropout": 0.0, "norm_first": norm_first, "activation": "gelu", **made}
        modules = both("Transformer", rng, 6, 2, 1, 2, 8, **options)
        for batch in (2, None):
            arrays = [rng.normal(size=s) for s in places(batch, made["batch_first"], 4, 3)]
            pairs = [masks_of(rng, mask, batch, n, m) for n, m in ((4, 4), (3, 3), (3, 4))]
            masks = [attn for attn, _ in pairs] + [padding for _, padding in pairs]
            agree(*modules, *arrays, *masks, modules=modules, what=f"{made}, batch {batch}")


@pytest.mark.parametrize("said", [None, True, False])
def test_causal_transformer(said, backend, rng):
    """A causal mask, whatever is said of it; and without one, said."""
    modules = both("Transformer", rng, 6, 2, 1, 1, 8, dropout=0.0, batch_first=True)
    later = [n.Transformer.generate_square_subsequent_mask(3) for n in (nn, TNN)]
    later = [tx.astype(later[0], tx.float64), later[1].double()]
    src, tgt = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 3, 6))

    def call(module, mask, src, tgt):
        says = {"src_is_causal": said, "tgt_is_causal": said}
        return module(src, tgt, src_mask=mask, tgt_mask=mask, **says)

    calls = [
        lambda *xs, m=m, mask=mask: call(m, mask, *xs)
        for m, mask in zip(modules, later, strict=True)
    ]
    agree(*calls, src, tgt, modules=modules)
    if said:
        agree(lambda *xs: call(modules[0], None, *xs), calls[1], src, tgt, modules=modules)


def test_evaluation_without_gradients(rng):
    """PyTorch takes its fused way there, which leaves padded places 0."""
    modules = twins(
        *(
            n.TransformerEncoder(n.TransformerEncoderLayer(6, 2, 8, batch_first=True), 2)
            for n in (nn, TNN)
        ),
        rng,
    )
    padding = np.array([[False] * 4, [False, False, True, True]])
    x = rng.normal(size=(2, 4, 6))
    with tx.no_grad():
        mine = modules[0].eval()(tx.asarray(x), src_key_padding_mask=tx.asarray(padding))
    with torch.no_grad():
        his = modules[1].eval()(torch.asarray(x), src_key_padding_mask=torch.asarray(padding))
    np.testing.assert_allclose(np.asarray(mine)[~padding], his.numpy()[~padding], rtol=1e-10)


def test_custom_stacks(backend, rng):
    """Modules in the place of the encoder and decoder get what PyTorch gives them."""
    calls = []

    def stack(n):
        class Stack(n.Module):
            def __init__(self):
                super().__init__()
                self.linear = n.Linear(6, 6)

            def forward(self, *xs, **options):
                calls.append((len(xs), sorted(options)))
                return self.linear(xs[-1])

        return Stack()

    modules = twins(
        *(n.Transformer(6, 2, custom_encoder=stack(n), custom_decoder=stack(n)) for n in (nn, TNN)),
        rng,
    )
    agree(*modules, *rng.normal(size=(2, 3, 2, 6)), modules=modules)
    assert calls[:2] == calls[2:4] == calls[4:]  # theirs, ours, theirs


def test_layers_with_parts_of_their_own(backend, rng):
    """Subclasses that override a layer's forward or its sublayers, as PyTorch names them."""

    def stack(n, f):
        class Encoder(n.TransformerEncoderLayer):
            def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
                y, _ = self.self_attn(src, src, src, src_key_padding_mask, attn_mask=src_mask)
                return self.norm2(src + self._ff_block(self.norm1(y)))

        class Decoder(n.TransformerDecoderLayer):
            def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
                return 2 * super()._sa_block(x, attn_mask, key_padding_mask, is_causal)

            def _mha_block(self, x, mem, attn_mask, key_padding_mask, is_causal=False):
                return 3 * super()._mha_block(x, mem, attn_mask, key_padding_mask, is_causal)

            def _ff_block(self, x):
                return self.linear2(f.silu(self.linear1(x)))

        encoder = n.TransformerEncoder(Encoder(6, 2, 8, 0.0), 2)
        decoder = n.TransformerDecoder(Decoder(6, 2, 8, 0.0), 2)
        return n.Transformer(6, 2, custom_encoder=encoder, custom_decoder=decoder)

    modules = twins(stack(nn, F), stack(TNN, TF), rng)
    masks = (forbidden(rng, 4, 4), np.triu(np.ones((3, 3), dtype=bool), k=1))
    agree(*modules, *(rng.normal(size=(n, 2, 6)) for n in (4, 3)), *masks, modules=modules)


# -- first values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n.Transformer(64, 4, 1, 1, 128),
        lambda n: n.TransformerDecoderLayer(64, 4, 128),
        lambda n: n.MultiheadAttention(64, 4, add_bias_kv=True, kdim=256, vdim=16),
        lambda n: n.MultiheadAttention(512, 4, add_bias_kv=True),
    ],
)
def test_first_values(make, backend):
    """Of every parameter the spread and the bound are PyTorch's."""
    torch.manual_seed(0)
    tx.manual_seed(0)
    mine, his = make(nn).state_dict(), make(TNN).state_dict()
    assert list(mine) == list(his)
    for name, theirs in his.items():
        a, b = np.asarray(mine[name]), theirs.numpy()
        assert a.shape == b.shape, name
        spread = 4 * b.std() / np.sqrt(b.size)
        np.testing.assert_allclose(a.mean(), b.mean(), rtol=0, atol=2 * spread + 1e-12)
        np.testing.assert_allclose(a.std(), b.std(), rtol=8 / np.sqrt(b.size), err_msg=name)
        if "bias_" not in name:  # the others are spread evenly, up to a bound
            np.testing.assert_allclose(abs(a).max(), abs(b).max(), rtol=0.1, err_msg=name)


def test_copies_share_their_source_of_random_numbers():
    generator = Generator(0)
    model = nn.Transformer(4, 2, 2, 2, 8, generator=generator)
    for module in model.modules():
        assert getattr(module, "generator", generator) is generator
    first, second = model.decoder.layers
    assert first.linear1.weight is not second.linear1.weight


# -- what is refused --------------------------------------------------------------------------

REFUSED = {
    "activation": (lambda n, o: n.TransformerEncoderLayer(4, 2, activation="tanh"), "'relu', 'ge"),
    "src": (lambda n, o: n.Transformer(4, 2, 1, 1, 8)(o(3, 2, 5), o(3, 2, 4)), "with 4 features"),
    "tgt": (lambda n, o: n.Transformer(4, 2, 1, 1, 8)(o(3, 2, 4), o(3, 2, 5)), r"\(3, 2, 5\)"),
    "batch": (lambda n, o: n.Transformer(4, 2, 1, 1, 8)(o(3, 2, 4), o(3, 1, 4)), "same batch size"),
    "axes": (lambda n, o: n.Transformer(4, 2, 1, 1, 8)(o(3, 2, 4), o(3, 4)), "with three axes"),
    "memory": (
        lambda n, o: n.TransformerDecoderLayer(4, 2, 8)(o(3, 2, 4), o(3, 1, 4)),
        "a batch of keys for each",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_both_refuse(name, backend):
    call, message = REFUSED[name]
    with pytest.raises((ShapeError, ArgumentError), match=message):
        call(nn, lambda *shape: tx.ones(shape))
    with pytest.raises((RuntimeError, ValueError, AssertionError)):
        call(TNN, torch.ones)
