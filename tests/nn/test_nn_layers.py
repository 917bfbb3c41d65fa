"""Linear layers, embeddings and distances against PyTorch, where PyTorch's own samples are silent:
options, ends, empty and single axes, and what both refuse."""

from types import SimpleNamespace

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.pytorch import Translator, agree, alike, problem, torch
from tests.nn.torch_samples import functions, module_case
from tinyxp import nn
from tinyxp.errors import ArgumentError, TinyError
from tinyxp.nn import functional as F

TF = torch.nn.functional


def same_module(name, make, *arrays, **options):
    """Values and gradients of the module ``name`` of both libraries, and what repr shows."""
    ts = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    sample = SimpleNamespace(
        constructor_input=SimpleNamespace(args=make, kwargs=options),
        forward_input=SimpleNamespace(args=ts, kwargs={}),
    )
    info = SimpleNamespace(module_cls=getattr(torch.nn, name))
    assert problem(module_case(name, info, sample, "float64", True, name), "float64") is None
    shown = getattr(nn, name)(*make, **options).extra_repr()
    assert shown == info.module_cls(*make, **options).extra_repr()


def refused(name, args, options):
    """Both functions refuse these arguments, ours by a typed error."""
    theirs = [torch.tensor(x) if isinstance(x, np.ndarray) else x for x in args]
    others = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    with pytest.raises(Exception):  # noqa: B017 - whatever type PyTorch has for it
        getattr(TF, name)(*theirs, **others)
    with pytest.raises(TinyError):
        getattr(F, name)(*Translator()(theirs), **Translator()(others))


def refused_module(name, make, shapes):
    """Both modules refuse their arguments, or inputs of these shapes, ours by a typed error."""
    with pytest.raises(Exception):  # noqa: B017
        getattr(torch.nn, name)(*make)(*map(torch.zeros, shapes))
    with pytest.raises(TinyError):
        getattr(nn, name)(*make)(*map(tx.zeros, shapes))


# -- linear and bilinear ----------------------------------------------------------------------


def test_linear_with_one_output(backend, rng):
    x, w = rng.normal(size=(2, 3, 4)), rng.normal(size=(4,))
    alike("linear", x, w)
    agree(F.linear, lambda x, w, b: x @ w + b, x, w, np.asarray(0.5))


@pytest.mark.parametrize("lead", [(), (0,), (1,), (3, 0), (3, 1, 2)])
def test_bilinear(lead, backend, rng):
    x1, x2 = rng.normal(size=(*lead, 1)), rng.normal(size=(*lead, 3))
    alike("bilinear", x1, x2, rng.normal(size=(2, 1, 3)), rng.normal(size=(2,)))


def test_first_values_of_bilinear():
    layer = nn.Bilinear(4, 100, 50, generator=tx.random.Generator(0))
    for p in layer.parameters():
        assert 0.45 < float(abs(p).max()) <= 0.5  # U(-1/2, 1/2), as in_features is 4


@pytest.mark.parametrize(
    ("make", "shape"),
    [((), (2, 3, 4)), ((0,), ()), ((0, 1), (2, 3, 4)), ((1, 2), (2, 3, 0, 2)), ((-2,), (2, 3, 4))],
)
def test_flatten(make, shape, backend, rng):
    same_module("Flatten", make, rng.normal(size=shape))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        ((1, (3, 4)), (2, 12)),
        ((-1, (2, -1, 3)), (2, 12)),
        ((0, (2, -1)), (0, 5)),
        ((0, (1,)), (1,)),
    ],
)
def test_unflatten(make, shape, backend, rng):
    same_module("Unflatten", make, rng.normal(size=shape))


# -- embeddings -------------------------------------------------------------------------------


def samples_without_grad(name):
    """The samples that op_db gives only for values: PyTorch has gradients for them all the same."""
    op = functions()[name]
    for sample in op.sample_inputs("cpu", torch.float64, requires_grad=False):
        if not sample.kwargs.get("sparse"):
            yield sample.input.numpy(), sample.args[0].numpy(), sample.kwargs


@pytest.mark.parametrize("name", ["embedding", "embedding_bag"])
def test_embeddings_with_every_option(name, backend):
    seen = 0
    for weight, indices, kwargs in samples_without_grad(name):
        mine, theirs = tx.asarray(weight, requires_grad=True), torch.tensor(weight)
        theirs.requires_grad_()
        y = getattr(F, name)(tx.asarray(indices), mine, **Translator()(kwargs))
        z = getattr(TF, name)(torch.tensor(indices), theirs, **kwargs)
        seeds = np.random.default_rng(0).normal(size=y.shape)
        (y * tx.asarray(seeds)).sum().backward()
        (z * torch.tensor(seeds)).sum().backward()
        for a, b in [(y, z), (mine, theirs), (mine.grad, theirs.grad)]:  # rows may be shortened
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-10, 1e-10)
        seen += "max_norm" in kwargs
    assert seen


@pytest.mark.parametrize("norm_type", [1.0, 2.0, np.inf])
def test_max_norm_shortens_the_rows_that_are_read(norm_type, backend, rng):
    values, indices = rng.normal(size=(6, 4)) * 3, np.asarray([1, 1, 4])
    ours, theirs = (
        nn.Embedding(6, 4, 4, 1.5, norm_type),
        torch.nn.Embedding(6, 4, 4, 1.5, norm_type),
    )
    theirs = theirs.double()
    theirs.load_state_dict({"weight": torch.tensor(values)})
    ours.to(dtype=tx.float64).load_state_dict(theirs.state_dict())
    weight = ours.weight
    y, z = ours(tx.asarray(indices)), theirs(torch.tensor(indices))
    assert ours.weight is weight and weight.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), 1e-12)
    np.testing.assert_allclose(weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-12)
    assert (weight.detach().numpy()[[0, 2, 3, 5]] == values[[0, 2, 3, 5]]).all()


@each("mode", ["sum", "mean", "max"])
@each(
    ("indices", "offsets"),
    [
        ([1, 2, 2, 3, 2], [0, 0, 3, 5, 5]),
        ([], [0, 0]),
        ([], []),
        ([2, 2], [0, 1]),
        ([1, 3, 3], [0]),
    ],
)
@each("padding_idx", [None, 2])
def test_bags(mode, indices, offsets, padding_idx, backend, rng):
    indices, offsets = (np.asarray(x, dtype=np.int64) for x in (indices, offsets))
    weight = rng.normal(size=(4, 3))
    options = {"mode": mode, "padding_idx": padding_idx}
    alike("embedding_bag", indices, weight, offsets, **options)
    if indices.size:
        ends = np.append(offsets, indices.size)
        alike("embedding_bag", indices, weight, ends, include_last_offset=True, **options)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 1])
def test_the_last_bag_goes_on_to_the_end(mode, padding_idx, backend, rng):
    """Whatever the offset behind it says: no index is lost, nor is one of an input without bags."""
    indices, weight = tx.asarray([0, 1, 2, 3, 1]), tx.asarray(rng.normal(size=(4, 3)))

    def bags(ends, **options):
        options |= {"mode": mode, "padding_idx": padding_idx}
        return F.embedding_bag(indices, weight, tx.asarray(ends), **options)

    expected = bags([0, 3]).numpy()
    for end in (3, 4, 5):
        found = bags([0, 3, end], include_last_offset=True)
        np.testing.assert_array_equal(found.numpy(), expected)
    for ends, options in (([0], {"include_last_offset": True}), (np.zeros(0, int), {})):
        with pytest.raises(ArgumentError, match="no bag for the 5 indices"):
            bags(ends, **options)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_large_bags_of_16_bits(dtype):
    """3,000 indices are counted, which 16 bits cannot."""
    weight = tx.ones((2, 1), dtype=tx.float32).astype(dtype)
    indices = tx.zeros((1, 3000), dtype=tx.int64)
    largest = F.embedding_bag(indices, weight, mode="max")
    assert largest.tolist() == [[1.0]]
    w = weight.detach().requires_grad_(True)
    F.embedding(indices, w, scale_grad_by_freq=True)[0, :1].sum().backward()
    assert abs(w.grad.astype(tx.float32)[0, 0].item() * 3000 - 1) < 0.01


def test_equal_largest_rows_of_a_bag(backend):
    weight = np.asarray([[1.0, 5.0], [1.0, 3.0], [0.0, 5.0]])
    alike("embedding_bag", np.asarray([[1, 0, 2], [2, 1, 0]]), weight, mode="max")


@pytest.mark.parametrize("shape", [(0, 3), (3, 1)])
def test_bags_of_one_length(shape, backend, rng):
    indices = rng.integers(0, 4, size=shape)
    alike("embedding_bag", indices, rng.normal(size=(4, 3)), mode="mean")


def test_an_empty_embedding(backend, rng):
    alike("embedding", np.zeros((0, 2), dtype=np.int64), rng.normal(size=(4, 3)))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag_as_a_module(mode, backend):
    indices, offsets = np.asarray([0, 1, 1, 3]), np.asarray([0, 3])
    same_module("EmbeddingBag", (4, 3), indices, offsets, mode=mode, padding_idx=-3)
    if mode == "sum":
        weights = np.asarray([0.5, 2.0, 1.0, -1.0])
        same_module("EmbeddingBag", (4, 3), indices, offsets, weights, mode=mode)
        repeated = np.asarray([0, 1, 3, 3])
        same_module("EmbeddingBag", (4, 3, 0.1, 1.0, True), repeated, offsets, mode=mode)


def test_bags_with_gradients_by_frequency(backend, rng):
    """Where an index before the last repeats, PyTorch takes the counts of others on the CPU."""
    weight, indices = rng.normal(size=(4, 3)), np.asarray([[1, 0], [1, 3]])
    agree(
        lambda w: F.embedding_bag(tx.asarray(indices), w, scale_grad_by_freq=True, mode="sum"),
        lambda w: TF.embedding(torch.tensor(indices), w, scale_grad_by_freq=True).sum(1),
        weight,
    )


def test_embeddings_of_given_weights(backend):
    weight = tx.asarray([[1.0, 2.0], [3.0, 4.0]])
    for kind, y in ((nn.Embedding, [[3.0, 4.0], [1.0, 2.0]]), (nn.EmbeddingBag, [[3, 4], [1, 2]])):
        frozen, learned = kind.from_pretrained(weight), kind.from_pretrained(weight, freeze=False)
        assert not frozen.weight.requires_grad and learned.weight.requires_grad
        indices = [1, 0] if kind is nn.Embedding else [[1], [0]]
        assert frozen(tx.asarray(indices)).tolist() == learned(tx.asarray(indices)).tolist() == y


def test_one_hot(backend, rng):
    for x, n in ((rng.integers(0, 4, size=(2, 3)), -1), (rng.integers(0, 4, size=()), 6)):
        ours = F.one_hot(tx.asarray(np.asarray(x)), n)
        theirs = TF.one_hot(torch.tensor(x), n)
        assert ours.dtype is tx.int64 and ours.tolist() == theirs.tolist()
    empty = F.one_hot(tx.zeros((0, 2), dtype=tx.int64), 3)
    assert empty.shape == tuple(TF.one_hot(torch.zeros((0, 2), dtype=torch.int64), 3).shape)


# -- distances --------------------------------------------------------------------------------


@each("dim", [0, -2, (1, 2), None])
@each("p", [1, 3.0, np.inf])
def test_normalize(dim, p, backend, rng):
    x = rng.normal(size=(2, 3, 4))
    x[0] = 0.0
    alike("normalize", x, p=p, dim=dim)


def test_cosine_similarity_of_short_vectors(backend, rng):
    x, y = rng.normal(size=(3, 1, 4)), rng.normal(size=(2, 4))
    x[0] = 0.0
    alike("cosine_similarity", x, y, dim=2)
    same_module("CosineSimilarity", (-1, 1e-6), y, y * 2 + 1)
    alike("cosine_similarity", np.zeros((0, 3)), np.zeros((0, 3)))
    # below ε PyTorch goes on differentiating the norm, which is no longer there
    short = tx.asarray([[3e-3, 4e-3]], dtype=tx.float64, requires_grad=True)
    unit = tx.asarray([[1.0, 0.0]], dtype=tx.float64)
    assert tx.gradcheck(lambda v: F.cosine_similarity(v, unit, eps=0.1), short)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, np.inf])
def test_distances(p, backend, rng):
    x, y = rng.normal(size=(3, 1, 4)), rng.normal(size=(2, 4))
    alike("pairwise_distance", x, y, p=p, eps=1e-3)
    same_module("PairwiseDistance", (p, 1e-3, True), x[:, 0], y[:1])
    if p >= 1:
        alike("pdist", rng.normal(size=(4, 3)), p=p)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 3)])
def test_distances_of_nothing(shape, backend):
    x = tx.ones(shape, dtype=tx.float64).requires_grad_()
    y = F.pdist(x)
    assert y.tolist() == TF.pdist(torch.ones(shape)).tolist()
    y.sum().backward()  # PyTorch's own ends the process
    assert x.grad.tolist() == np.zeros(shape).tolist()


@pytest.mark.parametrize("p", [0.5, 1, 2, 3])
def test_vectors_without_coordinates(p, backend):
    alike("pairwise_distance", np.ones((2, 0)), np.ones((2, 0)), p=p)


def test_the_gradient_of_distance_zero(backend):
    alike("pdist", np.asarray([[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]))
    alike("pairwise_distance", np.ones((2, 3)), np.ones((2, 3)), eps=0.0)


def test_distances_of_complex_numbers(backend, rng):
    a, b = rng.normal(size=(2, 3, 4))
    agree(
        lambda a, b: tx.real(F.normalize(a + 1j * b) * (1 + 2j)),
        lambda a, b: torch.real(TF.normalize(a + 1j * b) * (1 + 2j)),
        a,
        b,
    )
    agree(
        lambda a, b: F.pairwise_distance(a + 1j * b, b, p=3.0),
        lambda a, b: TF.pairwise_distance(a + 1j * b, b, p=3.0),
        a,
        b,
    )


# -- what both refuse -------------------------------------------------------------------------

Z = np.zeros
INDICES = np.asarray([0, 1])
REFUSED = [
    ("linear", [Z((2, 3)), Z((4, 2))], {}),
    ("linear", [Z((2, 3)), Z((4, 3)), Z((3,))], {}),
    ("bilinear", [Z((2, 3)), Z((2, 4)), Z((5, 4, 3))], {}),
    ("bilinear", [Z((2, 3)), Z((3, 4)), Z((5, 3, 4))], {}),
    ("bilinear", [Z((2, 3)), Z((2, 4)), Z((5, 3, 4)), Z((4,))], {}),
    ("embedding", [INDICES, Z((2,))], {}),
    ("embedding", [INDICES * 2, Z((2, 3))], {}),
    ("embedding", [INDICES - 1, Z((2, 3))], {}),
    ("embedding", [INDICES * 1.0, Z((2, 3))], {}),
    ("embedding", [INDICES, Z((2, 3))], {"padding_idx": 2}),
    ("embedding", [INDICES, Z((2, 3))], {"padding_idx": -3}),
    ("embedding_bag", [INDICES, Z((2, 3))], {}),
    ("embedding_bag", [INDICES[None, None], Z((2, 3))], {}),
    ("embedding_bag", [INDICES[None], Z((2, 3)), INDICES], {}),
    ("embedding_bag", [INDICES, Z((2, 3)), INDICES + 1], {}),
    ("embedding_bag", [INDICES, Z((2, 3)), INDICES * 3], {}),
    ("embedding_bag", [INDICES, Z((2, 3)), INDICES[None]], {}),
    ("embedding_bag", [INDICES, Z((2,)), INDICES], {}),
    ("embedding_bag", [INDICES, Z((2, 3)), INDICES[:0]], {"include_last_offset": True}),
    ("embedding_bag", [INDICES[None], Z((2, 3))], {"mode": "median"}),
    ("embedding_bag", [INDICES[None], Z((2, 3))], {"mode": "max", "scale_grad_by_freq": True}),
    (
        "embedding_bag",
        [INDICES[None], Z((2, 3))],
        {"mode": "mean", "per_sample_weights": Z((1, 2))},
    ),
    ("embedding_bag", [INDICES[None], Z((2, 3))], {"mode": "sum", "per_sample_weights": Z((2,))}),
    ("one_hot", [INDICES, 1], {}),
    ("one_hot", [INDICES - 1], {}),
    ("one_hot", [INDICES, -2], {}),
    ("one_hot", [INDICES, "3"], {}),
    ("one_hot", [INDICES[:0]], {}),
    ("one_hot", [INDICES * 1.0], {}),
    ("cosine_similarity", [Z((2, 3)), Z((2, 4))], {}),
    ("cosine_similarity", [Z((2, 3)), Z((2, 3))], {"dim": 2}),
    ("cosine_similarity", [Z((2, 3)), Z((2, 3))], {"dim": None}),
    ("cosine_similarity", [INDICES, INDICES], {"dim": 0}),
    ("normalize", [Z((2, 3))], {"dim": 2}),
    ("normalize", [INDICES], {"dim": 0}),
    ("pairwise_distance", [Z((2, 3)), Z((2, 4))], {}),
    ("pdist", [Z((3,))], {}),
    ("pdist", [Z((2, 3, 4))], {}),
    ("pdist", [Z((2, 3))], {"p": -1.0}),
]


@pytest.mark.filterwarnings("ignore")
@each("i", range(len(REFUSED)))
def test_what_both_refuse(i, backend):
    refused(*REFUSED[i])


@each(
    ("name", "make", "shapes"),
    [
        ("Bilinear", (0, 2, 3), ()),
        ("Flatten", (2, 1), ((2, 3, 4),)),
        ("Unflatten", (1, (2, 3)), ((2, 5),)),
        ("Unflatten", (1, ()), ((2, 1),)),
        ("Unflatten", (1, (-1, 0)), ((2, 0),)),
        ("Flatten", (None,), ((2, 3),)),
        ("Unflatten", (1, 2.5), ()),
        ("Unflatten", (1, (2.5,)), ()),
        ("Embedding", (3, 4, 3), ()),
        ("EmbeddingBag", (3, 4), ((3, 4, 5),)),
    ],
)
def test_what_modules_of_both_refuse(name, make, shapes, backend):
    refused_module(name, make, shapes)


def test_there_are_no_sparse_gradients(backend):
    for kind in (nn.Embedding, nn.EmbeddingBag):
        with pytest.raises(TinyError, match="sparse"):
            kind(3, 4, sparse=True)
    for f in (F.embedding, F.embedding_bag):
        with pytest.raises(TinyError, match="sparse"):
            f(tx.asarray([[0, 1]]), tx.ones((2, 3)), sparse=True)
