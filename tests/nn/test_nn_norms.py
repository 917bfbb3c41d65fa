"""Norms against PyTorch: running statistics over many steps, empty inputs, options, refusals."""

import re

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.helpers import each
from tests.nn.test_nn_torch import compare, compare_modules
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, ShapeError

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F, TF = nn.functional, torch.nn.functional


def pair(name, rng, *args, **options):
    """Our module and PyTorch's, with the same random parameters."""
    ours = getattr(nn, name)(*args, **options).to(dtype=tx.float64)
    theirs = getattr(torch.nn, name)(*args, **options).double()
    assert repr(ours).split("  #")[0] == repr(theirs)
    same_state(ours, theirs)  # the first values
    for p in theirs.parameters():
        p.data = torch.from_numpy(rng.normal(size=tuple(p.shape)))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def same_state(ours, theirs):
    found, expected = ours.state_dict(), theirs.state_dict()
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert str(found[name].dtype) == str(value.dtype).replace("torch", "tinyxp"), name
        close(found[name], value, 1e-10, name)


# -- running statistics -----------------------------------------------------------------------

SHAPES = {
    "BatchNorm1d": [(4, 3), (2, 3, 5)],
    "BatchNorm2d": [(2, 3, 4, 2)],
    "BatchNorm3d": [(1, 3, 2, 1, 2)],
    "InstanceNorm1d": [(2, 3, 5), (3, 4)],
    "InstanceNorm2d": [(2, 3, 4, 2), (3, 2, 2)],
    "InstanceNorm3d": [(2, 3, 1, 3, 2), (3, 2, 1, 2)],
}


@each("name", SHAPES)
@each("momentum", [0.1, 0.0, 1.0, None])
@each("track", [True, False])
def test_running_statistics_over_steps(name, momentum, track, backend, rng):
    for shape in SHAPES[name]:
        ours, theirs = pair(
            name, rng, 3, eps=1e-3, momentum=momentum, affine=True, track_running_stats=track
        )
        for step in range(3):
            x = rng.normal(loc=step, scale=step + 1, size=shape)
            ours.zero_grad()
            theirs.zero_grad()
            compare_modules(ours, theirs, x)
            same_state(ours, theirs)
        ours.eval()
        theirs.eval()
        ours.zero_grad()
        theirs.zero_grad()
        compare_modules(ours, theirs, rng.normal(size=shape))
        same_state(ours, theirs)  # evaluation changes nothing
        ours.reset_parameters()
        theirs.reset_parameters()
        same_state(ours, theirs)


def test_running_statistics_are_rebound_and_stay_out_of_the_graph(backend, rng):
    norm = nn.BatchNorm1d(3).to(dtype=tx.float64)
    mean, count = norm.running_mean, norm.num_batches_tracked
    before = norm.state_dict()
    norm(tx.asarray(rng.normal(size=(4, 3)), requires_grad=True))
    assert norm.running_mean is mean
    assert norm.num_batches_tracked is count
    assert not mean.requires_grad
    assert before["running_mean"].tolist() == [0, 0, 0]  # a snapshot keeps its values
    assert before["num_batches_tracked"].item() == 0
    assert count.item() == 1
    assert any(mean.tolist())


def test_running_statistics_keep_their_dtype(backend, rng):
    norm = nn.BatchNorm1d(3)  # float32, given float64
    norm(tx.asarray(rng.normal(size=(4, 3))))
    assert norm.running_mean.dtype is tx.float32
    assert norm.running_var.dtype is tx.float32


def test_a_model_whose_statistics_do_not_change_when_frozen(backend, rng):
    x = rng.normal(size=(4, 3))
    mean, var = tx.asarray(rng.normal(size=3)), tx.asarray(rng.uniform(1, 2, size=3))
    expected = mean.tolist(), var.tolist()
    y = F.batch_norm(tx.asarray(x), mean, var)
    assert (mean.tolist(), var.tolist()) == expected
    z = TF.batch_norm(torch.from_numpy(x), *(torch.tensor(v.numpy()) for v in (mean, var)))
    close(y, z, 1e-10, "value")


# -- shapes -----------------------------------------------------------------------------------


@each("shape", [(0, 3), (0, 3, 4), (2, 3, 0), (2, 3, 4, 0)])
@each("training", [True, False])
def test_empty_inputs(shape, training, backend, rng):
    w, b = rng.normal(size=3), rng.normal(size=3)
    x = np.zeros(shape)

    def both(lib, functional):
        statistics = lib.zeros(3, dtype=lib.float64), lib.ones(3, dtype=lib.float64)

        def run(x, w, b):
            y = functional.batch_norm(x, *statistics, w, b, training=training)
            assert statistics[0].tolist() == [0, 0, 0]
            assert statistics[1].tolist() == [1, 1, 1]
            return y

        return run

    compare(both(tx, F), both(torch, TF), x, w, b)
    compare(lambda x: F.group_norm(x, 3), lambda x: TF.group_norm(x, 3), x)
    if len(shape) > 2:
        compare(F.instance_norm, TF.instance_norm, x)
        compare(
            lambda x: F.local_response_norm(x, 2), lambda x: TF.local_response_norm(x * 1, 2), x
        )


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0)])
def test_empty_inputs_leave_parameters_alone(shape, backend):
    """Where PyTorch's group_norm has NaN for their gradients, and its instance_norm an error."""
    x, w = tx.zeros(shape), tx.ones(3).requires_grad_()
    for y in (F.group_norm(x, 3, w, w), F.instance_norm(x, weight=w, bias=w)):
        assert y.shape == shape
        (gradient,) = tx.autograd.grad(y.sum(), [w])
        assert gradient.tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_empty_rows(shape, backend):
    x, w = np.zeros(shape), np.ones(shape[1:])
    compare(
        lambda x, w: F.layer_norm(x, w.shape, w), lambda x, w: TF.layer_norm(x, w.shape, w), x, w
    )
    compare(lambda x, w: F.rms_norm(x, w.shape, w), lambda x, w: TF.rms_norm(x, w.shape, w), x, w)


@each("shape", [(2, 6), (2, 6, 4), (1, 6, 2, 3), (2, 6, 1, 2, 2)])
@each("groups", [1, 2, 3, 6])
def test_group_norm(shape, groups, backend, rng):
    if len(shape) == 2 and groups == 6:
        return  # one value in each group: 0, whatever it is
    x, w, b = rng.normal(size=shape), rng.normal(size=6), rng.normal(size=6)
    options = {"eps": 1e-3}
    compare(
        lambda x, w, b: F.group_norm(x, groups, w, b, **options),
        lambda x, w, b: TF.group_norm(x, groups, w, b, **options),
        x,
        w,
        b,
    )
    compare(lambda x, w: F.group_norm(x, groups, w), lambda x, w: TF.group_norm(x, groups, w), x, w)


def test_views(backend, rng):
    """Inputs that do not lie in row-major order."""
    x, w = rng.normal(size=(5, 2, 6)), rng.normal(size=6)
    statistics = np.zeros(6), np.ones(6)
    turned = {
        "batch_norm": lambda f: lambda x, w, m, v: f(x, m, v, w, training=True),
        "instance_norm": lambda f: lambda x, w, m, v: f(x, weight=w),
        "group_norm": lambda f: lambda x, w, m, v: f(x, 3, w),
        "local_response_norm": lambda f: lambda x, w, m, v: f(x, 4, 0.5) * w[None, :, None],
    }
    for name, call in turned.items():
        f, g = call(getattr(F, name)), call(getattr(TF, name))
        compare(
            lambda x, w, f=f: f(tx.permute_dims(x, (1, 2, 0)), w, *map(tx.asarray, statistics)),
            lambda x, w, g=g: g(x.permute(1, 2, 0), w, *map(torch.from_numpy, statistics)),
            x,
            w,
        )


@each("size", [1, 2, 3, 5, 9])
@each("shape", [(2, 4, 3), (2, 1, 3, 2), (1, 4, 2, 1, 2)])
def test_local_response_norm(size, shape, backend, rng):
    x, options = rng.normal(size=shape), {"alpha": 0.7, "beta": 0.6, "k": 1.5}
    compare(
        lambda x: F.local_response_norm(x, size, **options),
        lambda x: TF.local_response_norm(x, size, **options),
        x,
    )
    ours, theirs = pair("LocalResponseNorm", rng, size, 0.7, 0.6, 1.5)
    compare(ours, theirs, x)


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_rms_norm(shape, backend, rng):
    x, w = rng.normal(size=(2, 3, 4)), rng.normal(size=shape)
    compare(lambda x, w: F.rms_norm(x, shape, w), lambda x, w: TF.rms_norm(x, shape, w), x, w)
    tiny = x * 1e-8  # where eps is all there is: that of the dtype
    compare(lambda x: F.rms_norm(x, shape), lambda x: TF.rms_norm(x, shape), tiny)
    y = F.rms_norm(tx.asarray(tiny, dtype=tx.float32), shape)
    z = TF.rms_norm(torch.tensor(tiny, dtype=torch.float32), shape)
    close(y, z, 1e-5, "in float32")


@each(
    ("name", "args", "options"),
    [
        ("LayerNorm", ((3, 4),), {"bias": False}),
        ("LayerNorm", (4, 1e-3, False), {}),
        ("RMSNorm", (4,), {}),
        ("RMSNorm", ((3, 4), 0.1, False), {}),
        ("GroupNorm", (3, 3), {"bias": False}),
        ("GroupNorm", (1, 3, 0.1, False), {}),
        ("InstanceNorm1d", (3,), {}),
        ("InstanceNorm1d", (3,), {"affine": True, "bias": False}),
        ("BatchNorm1d", (3,), {"bias": False}),
        ("BatchNorm1d", (3,), {"affine": False}),
    ],
)
def test_modules(name, args, options, backend, rng):
    ours, theirs = pair(name, rng, *args, **options)
    compare_modules(ours, theirs, rng.normal(size=(2, 3, 4)))
    ours.reset_parameters()
    theirs.reset_parameters()
    same_state(ours, theirs)


# -- refusals ---------------------------------------------------------------------------------


def refusals():
    x = tx.ones((4, 3, 2))
    zeros, ones = tx.zeros(3), tx.ones(3)
    more = "more than one value per"
    return [
        (lambda: F.batch_norm(x, None, None), ArgumentError, "unless training"),
        (lambda: F.batch_norm(x, zeros, None, training=True), ArgumentError, "both or none of"),
        (lambda: F.batch_norm(x, None, None, training=True, eps=0), ArgumentError, "eps above 0"),
        (lambda: F.batch_norm(x, zeros, ones, eps=-1.0), ArgumentError, "got -1.0"),
        (lambda: F.batch_norm(x, tx.zeros(2), ones), ShapeError, "running_mean (3,), got (2,)"),
        (lambda: F.batch_norm(x, zeros, tx.ones(4)), ShapeError, "running_var (3,), got (4,)"),
        (lambda: F.batch_norm(x, zeros, ones, tx.ones(1)), ShapeError, "weight (3,), got (1,)"),
        (lambda: F.batch_norm(x, zeros, ones, ones, tx.ones(2)), ShapeError, "bias (3,), got (2,)"),
        (lambda: F.batch_norm(tx.ones(3), zeros, ones), ShapeError, "(N, C, ...), got (3,)"),
        (lambda: F.batch_norm(x[:1, :, :1], zeros, ones, training=True), ShapeError, more),
        (lambda: F.batch_norm([1.0], zeros, ones), DTypeError, "expects Tensors, got list"),
        (lambda: F.batch_norm(x, zeros.numpy(), ones, training=True), DTypeError, "got ndarray"),
        (lambda: F.group_norm(x, 3, [1.0] * 3), DTypeError, "expects Tensors, got list"),
        (lambda: F.layer_norm(x.numpy(), (2,)), DTypeError, "expects Tensors, got ndarray"),
        (lambda: F.layer_norm(x, (2,), [1.0, 1.0]), DTypeError, "expects Tensors, got list"),
        (lambda: F.layer_norm(x, 2.0), DTypeError, "normalized_shape is an integer"),
        (lambda: F.instance_norm(x[..., :1]), ShapeError, more),
        (lambda: F.instance_norm(x, use_input_stats=False), ArgumentError, "unless use_input"),
        (lambda: F.instance_norm(x, zeros), ArgumentError, "both or none of"),
        (lambda: F.group_norm(x, 2), ShapeError, "2 equal groups, got input (4, 3, 2)"),
        (lambda: F.group_norm(x, 0), ShapeError, "0 equal groups"),
        (lambda: F.group_norm(x[:1, :, 0], 3), ShapeError, more),
        (lambda: F.group_norm(tx.ones(3), 1), ShapeError, "(N, C, ...), got (3,)"),
        (lambda: F.rms_norm(x, (3,)), ShapeError, "rms_norm over (3,)"),
        (lambda: F.rms_norm(x, ()), ShapeError, "rms_norm over ()"),
        (lambda: F.rms_norm(x, (2,), ones), ShapeError, "weight (2,), got (3,)"),
        (lambda: F.local_response_norm(x[0], 2), ShapeError, "(N, C, ...), got (3, 2)"),
        (lambda: F.local_response_norm(x, 0), ArgumentError, "size of 1 or more, got 0"),
        (lambda: nn.LayerNorm(None), DTypeError, "normalized_shape is an integer"),
        (lambda: nn.BatchNorm1d(3)([1.0]), DTypeError, "expects Tensors, got list"),
        (lambda: nn.GroupNorm(2, 3), ShapeError, "2 equal groups, got 3"),
        (lambda: nn.GroupNorm(0, 3), ShapeError, "0 equal groups, got 3"),
        (
            lambda: nn.BatchNorm1d(3)(x[None]),
            ShapeError,
            "2 axes or 3 axes, got shape (1, 4, 3, 2)",
        ),
        (lambda: nn.BatchNorm2d(3)(x), ShapeError, "BatchNorm2d expects 4 axes"),
        (lambda: nn.BatchNorm3d(3)(x), ShapeError, "BatchNorm3d expects 5 axes"),
        (lambda: nn.InstanceNorm2d(3)(x[0]), ShapeError, "3 axes or 4 axes"),
        (lambda: nn.InstanceNorm1d(2, affine=True)(x), ShapeError, "weight (3,), got (2,)"),
    ]


@each("i", range(len(refusals())))
def test_what_is_refused(i):
    call, error, message = refusals()[i]
    with pytest.raises(error, match=re.escape(message)):
        call()
