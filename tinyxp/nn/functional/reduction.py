"""The reduction of losses to one number, and the checks that losses share."""

from contextvars import ContextVar

from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.ops.reductions import mean, sum

REDUCTIONS = ("mean", "sum", "none")
# whether the input is a part of a batch, whose mean is combined with the means of other parts
in_a_part: ContextVar[bool] = ContextVar("tinyxp_in_a_part", default=False)


def expect_plain_mean(reduction, weight, targets, ignore_index):
    """In a part of a batch, raise ArgumentError for a weighted mean."""
    if reduction != "mean" or not in_a_part.get():
        return
    if weight is not None or (targets == ignore_index).any():
        what = "class weights" if weight is not None else f"ignore_index={ignore_index}"
        raise ArgumentError(
            f"the mean of this batch is weighted ({what}), so the means of its parts on several "
            "threads give another gradient; omit threads"
        )


def resolve_reduction(reduction, size_average=None, reduce=None):
    """The reduction that ``size_average`` and ``reduce``, its older forms, mean, if one is passed;
    otherwise ``reduction``. Raises ArgumentError."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ArgumentError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


def reduce_losses(losses, reduction, size_average=None, reduce=None):
    """The mean or the sum of all losses, or the losses unchanged."""
    reduction = resolve_reduction(reduction, size_average, reduce)
    return {"mean": mean, "sum": sum, "none": lambda y: y}[reduction](losses)


def weigh(losses, weight, name):
    """losses · weight, with the weight broadcast to the losses. Raises ShapeError."""
    if weight is None:
        return losses
    expect_tensors(name, weight)
    y = losses * weight
    if y.shape != losses.shape:
        raise ShapeError(
            f"{name} expects a weight that broadcasts to {losses.shape}, got {weight.shape}"
        )
    return y


def expect_class_weight(name, weight, classes):
    """Raise ShapeError for a weight that is not one number for each class."""
    if weight is not None:
        expect_tensors(name, weight)
        if weight.shape != (classes,):
            raise ShapeError(
                f"{name} expects a weight for each of {classes} classes, ({classes},), "
                f"got {weight.shape}"
            )


def expect_alike(name, *operands, names="input and target"):
    """Raise DTypeError unless these are Tensors, ShapeError unless they have one shape."""
    expect_tensors(name, *operands)
    shapes = [x.shape for x in operands]
    if len({*shapes}) > 1:
        raise ShapeError(
            f"{name} expects {names} of one shape, got {' and '.join(map(str, shapes))}; "
            "they are not broadcast, so squeeze or reshape one to the other"
        )
