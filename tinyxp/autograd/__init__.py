"""``tx.autograd``: gradients of tensors and of functions, recomputation, and gradient checks."""

from tinyxp.autograd.gradcheck import gradcheck
from tinyxp.autograd.tensors import grad

__all__ = ["grad", "gradcheck"]
