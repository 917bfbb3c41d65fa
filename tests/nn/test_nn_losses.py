"""Losses where PyTorch's samples do not go: weights, empty batches, ties, impossible alignments."""

import math

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.pytorch import agree, alike, torch
from tinyxp import nn
from tinyxp.errors import (
    ArgumentError,
    DTypeError,
    IndexingError,
    ShapeError,
)

F, TF = nn.functional, torch.nn.functional
REDUCTIONS = ("mean", "sum", "none")


# -- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["smooth_l1_loss", "huber_loss"])
def test_an_infinite_distance_still_pulls(name, backend):
    alike(name, np.asarray([np.inf, 0.5, -2.0]), np.zeros(3), by=[0], reduction="none")


@each("reduction", REDUCTIONS)
@each("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_numbers(name, reduction, backend, rng):
    x, t, w = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))
    agree(
        lambda x, t, w: getattr(F, name)(x, t, weight=w, reduction=reduction),
        lambda x, t, w: getattr(TF, name)(x, t, weight=w, reduction=reduction),
        x,
        t,
        w,
    )


PAIRS = [
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "poisson_nll_loss",
    "soft_margin_loss",
    "hinge_embedding_loss",
    "binary_cross_entropy_with_logits",
]


@each("name", PAIRS)
@each("shape", [(0, 3), (1, 1), ()])
def test_shapes_of_pairs(name, shape, backend, rng):
    for reduction in REDUCTIONS:
        x, t = rng.normal(size=shape), rng.uniform(0.1, 1, size=shape)
        alike(name, x, t, by=(0,), reduction=reduction)


@each("name", PAIRS)
def test_pairs_that_are_not_contiguous(name, backend, rng):
    x, t = rng.normal(size=(4, 6)), rng.uniform(0.1, 1, size=(3, 4))
    agree(
        lambda x, t: getattr(F, name)(x[:, ::2], tx.matrix_transpose(t), reduction="none"),
        lambda x, t: getattr(TF, name)(x[:, ::2], t.mT, reduction="none"),
        x,
        t,
        by=(0,),
    )


@each("name", [*PAIRS, "nll_loss", "cross_entropy"])
@each("old", [(None, False), (False, None), (True, True), (False, False)])
def test_reductions_of_old_code(name, old, rng):
    classes = name in ("nll_loss", "cross_entropy")
    t = np.asarray([0, 2]) if classes else rng.uniform(0.1, 1, size=(2, 3))
    x = rng.normal(size=(2, 3))
    if name != "huber_loss":
        alike(name, x, t, by=(0,), size_average=old[0], reduce=old[1])
    kind = {"poisson_nll_loss": nn.PoissonNLLLoss, "nll_loss": nn.NLLLoss}.get(name, nn.L1Loss)
    assert kind(size_average=old[0], reduce=old[1]).reduction == (
        "none" if old[1] is False else "sum" if old[0] is False else "mean"
    )


def test_variances_held_above_eps(backend, rng):
    var = np.asarray([0.0, 1e-9, 0.5, 2.0])
    alike("gaussian_nll_loss", rng.normal(size=4), rng.normal(size=4), var, eps=1e-3)
    alike("gaussian_nll_loss", rng.normal(size=4), rng.normal(size=4), var, full=True)
    x, t = rng.normal(size=(2, 3)), rng.normal(size=(2, 1))
    for v in (rng.uniform(size=(2, 3)), rng.uniform(size=(2, 1)), rng.uniform(size=2)):
        alike("gaussian_nll_loss", x, t, v, reduction="none")
    agree(lambda x: F.gaussian_nll_loss(x, x, 0.5), lambda x: TF.gaussian_nll_loss(x, x, 0.5), x)


def test_divergences_of_distributions(backend, rng):
    log_p, q = np.log([[0.2, 0.8], [0.5, 0.5]]), np.asarray([[0.3, 0.7], [1.0, 0.0]])
    alike("kl_div", log_p, q, by=(0,), reduction="batchmean")  # 0 · ln 0 = 0
    ours = F.kl_div(tx.asarray(log_p), tx.asarray(q), reduction="batchmean").item()
    expected = (0.3 * np.log(0.3 / 0.2) + 0.7 * np.log(0.7 / 0.8) + np.log(2)) / 2
    assert ours == pytest.approx(expected, rel=1e-14)


# -- classes ----------------------------------------------------------------------------------

SHAPES = [(4,), (3, 4), (2, 4, 3), (2, 4, 1, 2), (0, 4), (2, 4, 0)]


def targets_for(shape, rng):
    target = rng.integers(0, 4, size=shape[:1] + shape[2:] if len(shape) > 1 else ())
    return np.asarray(target)


@each("reduction", REDUCTIONS)
@each("shape", SHAPES)
@each("smoothing", [0.0, 0.3])
def test_weights_of_classes(shape, reduction, smoothing, backend, rng):
    x, target, w = rng.normal(size=shape), targets_for(shape, rng), rng.uniform(0.5, 2, size=4)
    ignore = int(target.flat[0]) if target.size > 1 else -100
    options = {"reduction": reduction, "ignore_index": ignore}
    alike("nll_loss", x, target, w, by=(0,), **options)
    alike("cross_entropy", x, target, w, by=(0,), label_smoothing=smoothing, **options)
    q = rng.uniform(size=shape)
    alike("cross_entropy", x, q, w, by=(0, 1), label_smoothing=smoothing, reduction=reduction)


def test_classes_that_are_shut_out(backend):
    """A logit of -inf beside the target: 0 times its infinite loss is not formed."""
    x = np.asarray([[0.0, 1.0, -np.inf]])
    alike("cross_entropy", x, np.asarray([1]))
    alike("cross_entropy", x, np.asarray([1]), np.asarray([1.0, 2.0, 3.0]), by=(0,))


def test_gradient_of_class_weights(backend, rng):
    x, w = rng.normal(size=(4, 3)), rng.uniform(0.5, 2, size=3)
    target, q = tx.asarray([0, 2, 1, 0]), tx.asarray(rng.uniform(size=(4, 3)))
    for loss in (
        lambda x, w: F.cross_entropy(x, target, w, ignore_index=1, label_smoothing=0.2),
        lambda x, w: F.cross_entropy(x, q, w, label_smoothing=0.2),
        lambda x, w: F.nll_loss(x, target, w),
        lambda x, w: F.multi_margin_loss(x, target, weight=w),
        lambda x, w: F.binary_cross_entropy_with_logits(x, q, pos_weight=w),
    ):
        assert tx.gradcheck(loss, tx.asarray(x), tx.asarray(w), order=2)


# -- margins ----------------------------------------------------------------------------------


def test_the_cosine_of_a_vector_of_zeros(backend, rng):
    x, y = np.zeros((4, 3)), rng.normal(size=(4, 3))
    alike("cosine_embedding_loss", x, y, np.asarray([1, -1, 1, -1]), margin=-0.5)
    alike("cosine_embedding_loss", y * 1e-7, y, np.asarray([1, -1, 1, -1]), reduction="none")


def test_margins_just_met(backend):
    """Ties, where a hinge has two slopes: the one PyTorch takes."""
    x, t = np.asarray([1.0, 1.0, 0.5]), np.asarray([1.0, -1.0, -1.0])
    alike("hinge_embedding_loss", x, t, by=(0,), margin=1.0, reduction="none")
    alike("margin_ranking_loss", x, x + [1.0, -1.0, 0.0], t, by=(0, 1), margin=-1.0)
    alike("margin_ranking_loss", x, x.copy(), t, by=(0, 1))
    scores = np.asarray([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    for p in (1, 2):
        alike("multi_margin_loss", scores, np.asarray([1, 0]), p=p)
    alike("multilabel_margin_loss", scores, np.asarray([[1, -1, 0], [0, 2, -1]]))


def test_classes_listed(backend, rng):
    """One class twice, none at all, all of them, and what stands behind the first -1."""
    target = np.asarray([[1, 1, -1], [-1, 0, 2], [2, 0, 1], [2, -1, -1]])
    for reduction in REDUCTIONS:
        alike("multilabel_margin_loss", rng.normal(size=(4, 3)), target, reduction=reduction)
    alike("multilabel_margin_loss", rng.normal(size=(3,)), np.asarray([2, 0, -1]))
    alike("multi_margin_loss", rng.normal(size=(0, 3)), np.zeros(0, int), reduction="none")


@each("reduction", REDUCTIONS)
@each("swap", [False, True])
@each("shape", [(4, 3), (3,), (0, 3), (4, 1)])
def test_triplets(shape, swap, reduction, backend, rng):
    triplet = [rng.normal(size=shape) for _ in range(3)]
    options = {"swap": swap, "reduction": reduction, "margin": 0.7}
    for p in (1, 2, 3):
        ours, theirs = (kit.TripletMarginLoss(p=p, eps=1e-3, **options) for kit in (nn, torch.nn))
        agree(ours, theirs, *triplet)
    ours, theirs = (kit.TripletMarginWithDistanceLoss(**options) for kit in (nn, torch.nn))
    agree(ours, theirs, *triplet)
    agree(
        nn.TripletMarginWithDistanceLoss(
            distance_function=lambda a, b: ((a - b) ** 2).sum(-1), **options
        ),
        torch.nn.TripletMarginWithDistanceLoss(
            distance_function=lambda a, b: ((a - b) ** 2).sum(-1), **options
        ),
        *triplet,
    )


# -- CTC --------------------------------------------------------------------------------------


def through_log_softmax(kit, *lengths, blank=0, reduction="mean", zero_infinity=False):
    def run(x, targets):
        return kit.ctc_loss(
            kit.log_softmax(x, dim=-1), targets, *lengths, blank, reduction, zero_infinity
        )

    return run


PADDED = np.asarray([[1, 2, 2], [3, 77, -5], [2, 2, 2], [-1, 99, 8]])  # what is behind is not read


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("blank", [0, 3])
def test_ctc(reduction, blank, backend, rng):
    x, lengths = rng.normal(size=(7, 4, 5)) * 2, ((7, 3, 5, 0), (3, 1, 3, 0))
    padded = np.where((PADDED == 3) & (blank == 3), 4, PADDED)
    in_a_row = np.concatenate([row[:n] for row, n in zip(padded, lengths[1], strict=True)])
    options = {"reduction": reduction, "blank": blank}
    tensors = tuple(tx.asarray(n) for n in lengths)
    for targets in (padded, in_a_row):
        agree(
            through_log_softmax(F, *lengths, **options),
            through_log_softmax(TF, *lengths, **options),
            x,
            targets,
        )
    run = through_log_softmax(F, *lengths, **options)
    again = through_log_softmax(F, *tensors, **options)
    y, z = (f(tx.asarray(x), tx.asarray(in_a_row)).numpy() for f in (run, again))
    np.testing.assert_array_equal(y, z)


def test_ctc_without_a_batch(backend, rng):
    x, targets = rng.normal(size=(5, 4)), np.asarray([1, 3, 3])
    for reduction in REDUCTIONS:
        agree(
            through_log_softmax(F, 5, 3, reduction=reduction),
            through_log_softmax(TF, (5,), (3,), reduction=reduction),
            x,
            targets,
        )


def test_ctc_without_an_alignment(backend, rng):
    """The second target needs a blank between: inf, or by request 0, and no gradient."""
    x, targets, lengths = (
        rng.normal(size=(4, 3, 3)),
        [[1, 2], [1, 1], [2, 1]],
        ((4, 2, 0), (2,) * 3),
    )
    expected = through_log_softmax(TF, *lengths, reduction="none")(
        torch.tensor(x), torch.tensor(targets)
    ).numpy()
    assert np.isinf(expected).tolist() == [False, True, True]
    for zero in (False, True):
        leaf = tx.asarray(x, requires_grad=True)
        run = through_log_softmax(F, *lengths, reduction="none", zero_infinity=zero)
        losses = run(leaf, tx.asarray(targets))
        wanted = np.where(np.isinf(expected), 0, expected) if zero else expected
        np.testing.assert_allclose(losses.detach().numpy(), wanted, rtol=1e-12)
        losses.sum().backward()
        slopes = leaf.grad.numpy()
        assert not slopes[:, 1:].any()
        assert slopes[:, 0].any()
    agree(
        through_log_softmax(F, *lengths, zero_infinity=True),
        through_log_softmax(TF, *lengths, zero_infinity=True),
        x,
        np.asarray(targets),
    )


def test_ctc_of_probabilities_of_zero(backend):
    """Of p = 1 for one path: a loss of 0 for it, inf for others, and no NaN."""
    log_probs = np.asarray([[[-np.inf, 0.0]], [[0.0, -np.inf]]])
    log_probs = tx.asarray(log_probs, requires_grad=True)
    sure = F.ctc_loss(log_probs, tx.asarray([[1]]), (2,), (1,))
    assert abs(sure.item()) < 1e-15
    sure.backward()
    assert not np.isnan(log_probs.grad.numpy()).any()
    assert F.ctc_loss(log_probs, tx.asarray([[1]]), (2,), (0,)).item() == math.inf


@pytest.mark.parametrize("wrong", [1.5, -0.1, math.nan])
def test_targets_that_are_no_probabilities(wrong, backend):
    p, target = tx.asarray([0.5, 0.5]), tx.asarray([1.0, wrong])
    with pytest.raises(ArgumentError, match=r"targets in \[0, 1\]"):
        F.binary_cross_entropy(p, target)
    assert math.isclose(F.binary_cross_entropy(p, p > 0).item(), math.log(2), rel_tol=1e-6)


def test_ctc_of_times_at_which_nothing_can_come(backend):
    values = np.log(np.full((3, 2, 4), 0.25))
    values[1, 0] = -np.inf
    for zero_infinity, lost in ((False, math.inf), (True, 0.0)):
        log_probs = tx.asarray(values).requires_grad_()
        options = {"reduction": "none", "zero_infinity": zero_infinity}
        losses = F.ctc_loss(log_probs, tx.asarray([[1, 2], [1, 2]]), (3, 3), (2, 2), **options)
        assert losses[0].item() == lost
        assert math.isclose(losses[1].item(), math.log(64 / 5), rel_tol=1e-6)
        losses[1].backward()
        assert tx.all(log_probs.grad[:, 0] == 0)
        assert tx.all(tx.isfinite(log_probs.grad))


def test_ctc_proven_by_differences(backend, rng):
    x = tx.asarray(rng.normal(size=(4, 2, 3)))
    targets = tx.asarray([[1, 2], [2, 2]])
    assert tx.gradcheck(lambda x: F.ctc_loss(x, targets, (3, 4), (2, 2)), x)


# -- modules ----------------------------------------------------------------------------------


def test_weights_are_buffers():
    w = [1.0, 2.0, 3.0]
    for name in (
        "CrossEntropyLoss",
        "NLLLoss",
        "BCELoss",
        "BCEWithLogitsLoss",
        "MultiMarginLoss",
        "MultiLabelSoftMarginLoss",
    ):
        ours = getattr(nn, name)(weight=tx.asarray(w))
        theirs = getattr(torch.nn, name)(weight=torch.tensor(w))
        assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"], name
        assert not list(ours.parameters())
        assert ours.to(dtype=tx.float64).weight.dtype is tx.float64
        ours.load_state_dict({"weight": torch.tensor([3.0, 2.0, 1.0])})
        assert ours.weight.numpy().tolist() == [3.0, 2.0, 1.0]
    both = nn.BCEWithLogitsLoss(tx.asarray(w), pos_weight=tx.asarray(w))
    assert list(both.state_dict()) == ["weight", "pos_weight"]


@pytest.mark.parametrize("bias", [False, True])
def test_adaptive_softmax(bias, backend, rng):
    ours, theirs = (
        kit.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 7, 12], 2.0, bias, **double)
        for kit, double in ((nn, {"dtype": tx.float64}), (torch.nn, {"dtype": torch.float64}))
    )
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = rng.normal(size=(6, 8))
    for target in ([0, 3, 4, 6, 7, 19], [0, 1, 2, 3, 0, 1], [19, 12, 13, 14, 15, 4]):
        agree(ours, theirs, x, np.asarray(target))
    agree(ours, theirs, x[0], np.asarray(5))
    agree(ours.log_prob, theirs.log_prob, x)
    agree(ours.predict, theirs.predict, x)
    target = [0, 3, 4, 6, 7, 19]
    ours(tx.asarray(x), tx.asarray(target)).loss.backward()
    theirs(torch.tensor(x), torch.tensor(target)).loss.backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-13, err_msg=name)


def test_adaptive_softmax_starts_as_linear_does():
    tx.manual_seed(0)
    module = nn.AdaptiveLogSoftmaxWithLoss(64, 300, [100], generator=tx.random.Generator(3))
    first = {k: v.numpy() for k, v in module.state_dict().items()}
    for name, bound in (
        ("head.weight", 1 / 8),
        ("tail.0.0.weight", 1 / 8),
        ("tail.0.1.weight", 1 / 4),
    ):
        values = first[name]
        assert bound * 0.99 < np.abs(values).max() <= bound
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    module.reset_parameters()
    assert all((v.numpy() != first[k]).any() for k, v in module.state_dict().items())


def test_constants_lie_beside_the_operands():
    """Operands on another backend and device, whatever the backend in use."""

    def there(values, **options):
        return tx.asarray(values, **options).to("strict").to("device1")

    x = there([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]).requires_grad_()
    frames, ids, ones = x.reshape((2, 1, 3)), there([0, 2]), there([1.0, -1.0])
    losses = [
        F.cross_entropy(x, x, there([1.0, 2.0, 3.0]), label_smoothing=0.1),
        F.nll_loss(x, ids, there([1.0, 2.0, 3.0])),
        F.multi_margin_loss(x, ids, weight=there([1.0, 2.0, 3.0])),
        F.multilabel_margin_loss(x, there([[0, -1, 1], [1, 2, -1]])),
        F.gaussian_nll_loss(x, x * 2, 0.5),
        F.poisson_nll_loss(x, x * 3, full=True),
        F.kl_div(x, x),
        F.cosine_embedding_loss(x, x * x, ones),
        F.hinge_embedding_loss(x[:, 0], ones),
        F.triplet_margin_loss(x, x * 2, x * 3, swap=True),
        F.ctc_loss(F.log_softmax(frames, dim=2), there([[1, 2]]), (2,), (2,)),
        F.ctc_loss(F.log_softmax(frames, dim=2), there([1]), there([2]), there([1])),
    ]
    loss = tx.stack(losses).sum()
    loss.backward()
    assert (loss.device, x.grad.device, x.grad.backend.name) == ("device1", "device1", "strict")
    assert np.isfinite(loss.item())


# -- errors -----------------------------------------------------------------------------------


@each("name", [*PAIRS, "binary_cross_entropy", "multilabel_soft_margin_loss"])
def test_nothing_is_broadcast(name, backend):
    with pytest.raises(ShapeError, match=rf"{name} .*one shape, got \(4, 1\) and \(4,\)"):
        getattr(F, name)(tx.zeros((4, 1)), tx.zeros(4))


X, T = tx.zeros((2, 3)), tx.zeros((2, 3))
ONES = tx.ones((2,), dtype=tx.int64)


@each(
    ("call", "error", "message"),
    [
        (lambda: F.kl_div(X, T, reduction="avg"), ArgumentError, "reduction is 'mean'"),
        (lambda: F.mse_loss(X, T, weight=tx.ones(3)), ShapeError, r"\(2, 3\) and \(3,\)"),
        (lambda: F.smooth_l1_loss(X, T, beta=-1), ArgumentError, "beta of 0 or more, got -1"),
        (lambda: F.huber_loss(X, T, delta=0), ArgumentError, "delta above 0, got 0"),
        (lambda: F.gaussian_nll_loss(X, T, -1.0), ArgumentError, "variances of 0 or more"),
        (lambda: F.gaussian_nll_loss(X, T, T - 1), ArgumentError, "got a negative one"),
        (lambda: F.gaussian_nll_loss(X, tx.zeros(3), T), ShapeError, r"shape \(2, 3\).*got \(3,\)"),
        (lambda: F.gaussian_nll_loss(X, T, tx.ones(3)), ShapeError, r"var .*got \(3,\)"),
        (lambda: F.cross_entropy(X, ONES, tx.ones(2)), ShapeError, "each of 3 classes"),
        (lambda: F.cross_entropy(X, tx.ones((2, 3), dtype=tx.int64)), DTypeError, "probabilities"),
        (lambda: F.cross_entropy(X, T, ignore_index=1), ArgumentError, "not probabilities"),
        (lambda: F.binary_cross_entropy(X, T, tx.ones(2)), ShapeError, "axis -1"),
        (lambda: F.binary_cross_entropy(X, T, tx.ones((4, 2, 3))), ShapeError, "broadcasts to"),
        (
            lambda: F.binary_cross_entropy_with_logits(X, T, pos_weight=tx.ones((4, 1, 1))),
            ShapeError,
            "pos_weight",
        ),
        (lambda: F.cosine_embedding_loss(X, T, tx.ones(3)), ShapeError, r"\(2, 3\) and \(3,\)"),
        (lambda: F.margin_ranking_loss(X, T, tx.ones((2, 1))), ShapeError, "input1, input2 and"),
        (lambda: F.multi_margin_loss(X, ONES + 2), IndexingError, "index 3 is out of range"),
        (lambda: F.multi_margin_loss(X, ONES, p=3), ArgumentError, "p = 1 or p = 2, got 3"),
        (lambda: nn.MultiMarginLoss(p=3), ArgumentError, "p = 1 or p = 2, got 3"),
        (lambda: F.multilabel_margin_loss(X, tx.asarray([[3, -1, 0]] * 2)), IndexingError, "3"),
        (lambda: F.triplet_margin_loss(X, X, T[:1]), ShapeError, "anchor, positive and"),
        (lambda: nn.TripletMarginLoss(0.0), ArgumentError, "above 0, got 0.0"),
        (
            lambda: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4, 4]),
            ArgumentError,
            r"at most n_classes - 1 = 8, got \[4, 4\]",
        ),
        (
            lambda: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4], 1.0)(X, tx.ones(3)),
            ShapeError,
            r"\(2, 3\) and \(3,\)",
        ),
        (
            lambda: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4], 1.0)(X, ONES + 8),
            IndexingError,
            "index 9 is out of range for 9 classes",
        ),
        (lambda: F.linear_cross_entropy(X, tx.zeros((4, 2)), ONES), ShapeError, r"\(N, I\)"),
    ],
)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


LOG_PROBS = tx.zeros((4, 2, 3))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"log_probs": tx.zeros(4)}, ShapeError, r"\(T, N, C\) or \(T, C\), got \(4,\)"),
        ({"blank": 3}, ArgumentError, r"blank in \[0, 3\), got 3"),
        ({"input_lengths": (4, 5)}, ArgumentError, "input_lengths between 0 and 4, got 5"),
        ({"input_lengths": (4,)}, ShapeError, r"input_lengths \(2,\), got \(1,\)"),
        ({"input_lengths": (4.0, 4.0)}, DTypeError, "input_lengths to be integers"),
        ({"target_lengths": (1, -1)}, ArgumentError, "target_lengths between 0 and 4, got -1"),
        ({"target_lengths": (1, 3)}, ShapeError, "S of at least 3"),
        ({"targets": tx.asarray([1, 2, 1])}, ShapeError, r"concatenated \(4,\), got \(3,\)"),
        ({"targets": tx.zeros((2, 2))}, DTypeError, "targets of an integer dtype"),
        ({"targets": tx.asarray([[1, 2], [3, 1]])}, IndexingError, "index 3 is out of range"),
        ({"reduction": "avg"}, ArgumentError, "reduction is 'mean'"),
    ],
)
def test_refused_by_ctc(change, error, message):
    good = {
        "log_probs": LOG_PROBS,
        "targets": tx.asarray([[1, 2], [2, 1]]),
        "input_lengths": (4, 4),
        "target_lengths": (2, 2),
    }
    with pytest.raises(error, match=message):
        F.ctc_loss(**good | change)
