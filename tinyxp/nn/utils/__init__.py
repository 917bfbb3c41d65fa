"""Where users of PyTorch look for gradient clipping; it lives with the optimizers."""

from tinyxp.optim.clip import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_"]
