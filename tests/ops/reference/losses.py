"""The functions of PyTorch that losses are compared with, by name."""

import itertools

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F = torch.nn.functional


def without_reduction(loss):
    return lambda *args, **static: loss(*args, reduction="none", **static)


# by their formulas where PyTorch's lack the gradient of a target or a weight, or the second one


def logits_with_pos_weight(input, target, pos_weight=None):
    if pos_weight is None:
        return F.binary_cross_entropy_with_logits(input, target, reduction="none")
    yes, no = F.logsigmoid(input), F.logsigmoid(-input)
    return -(pos_weight * target * yes + (1 - target) * no)


def soft_margin_loss(input, target):
    return torch.logaddexp(-target * input, torch.zeros_like(input))


def smooth_l1_loss(input, target, beta):
    d = (input - target).abs()
    return torch.where(d < beta, d**2 / (2 * beta), d - beta / 2)


def multi_margin_loss(input, target, weight=None, p=1, margin=1.0):
    rows = []
    for x, t in zip(input, target, strict=True):
        w = 1 if weight is None else weight[t]
        gaps = [torch.clamp(margin - x[t] + x[c], min=0) ** p for c in range(len(x)) if c != t]
        rows.append(w * torch.stack(gaps).sum() / len(x))
    return torch.stack(rows)


def multilabel_margin_loss(input, target):
    rows = []
    for x, row in zip(input, target.tolist(), strict=True):
        right = row[: row.index(-1)]
        gaps = [1 - x[t] + x[c] for t in right for c in range(len(x)) if c not in right]
        rows.append(sum(torch.clamp(gap, min=0) for gap in gaps) / len(x))
    return torch.stack([torch.as_tensor(row) + 0 * input.sum() for row in rows])


def weighted_classes(loss):
    def run(x, target, weight=None, ignore_index=-100, reduction="none", **static):
        if weight is None:
            return loss(x, target, ignore_index=ignore_index, reduction=reduction, **static)
        assert reduction == "none"
        smoothing = static.get("label_smoothing", 0)
        log_p = F.log_softmax(x, 1) if loss is F.cross_entropy else x
        hot = F.one_hot(target, x.shape[1]).to(x.dtype) * (1 - smoothing) + smoothing / x.shape[1]
        return -(hot * weight * log_p).sum(1) * (target != ignore_index)

    return run


def soft_cross_entropy(x, target, weight=None, label_smoothing=0.0):
    target = target * (1 - label_smoothing) + label_smoothing / x.shape[1]
    return -(target * F.log_softmax(x, 1) * (1 if weight is None else weight)).sum(1)


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0):
    """By its definition, alignment by alignment: PyTorch's is differentiable only once, with the
    gradient of the operand of log_softmax."""
    losses = []
    for i, (frames, size) in enumerate(zip(input_lengths, target_lengths, strict=True)):
        wanted, terms = targets[i, :size].tolist(), []
        for path in itertools.product(range(log_probs.shape[2]), repeat=int(frames)):
            if [c for c, _ in itertools.groupby(path) if c != blank] == wanted:
                terms.append(sum(log_probs[t, i, c] for t, c in enumerate(path)))
        losses.append(-torch.logsumexp(torch.stack(terms), 0))
    return torch.stack(losses)


REFERENCE = {
    name: without_reduction(getattr(F, name))
    for name in [
        "binary_cross_entropy",
        "gaussian_nll_loss",
        "hinge_embedding_loss",
        "huber_loss",
        "kl_div",
        "l1_loss",
        "margin_ranking_loss",
        "mse_loss",
        "poisson_nll_loss",
    ]
}
REFERENCE |= {
    "binary_cross_entropy_with_logits": logits_with_pos_weight,
    "cross_entropy": weighted_classes(F.cross_entropy),
    "ctc_loss": ctc_loss,
    "multi_margin_loss": multi_margin_loss,
    "multilabel_margin_loss": multilabel_margin_loss,
    "nll_loss": weighted_classes(F.nll_loss),
    "smooth_l1_loss": smooth_l1_loss,
    "soft_margin_loss": soft_margin_loss,
    "soft_cross_entropy": soft_cross_entropy,
}
