"""Mixed precision under PyTorch's names: products in 16 bits, weights and sums in float32."""

from tinyxp.amp.autocast_mode import autocast, is_autocast_enabled
from tinyxp.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_enabled"]
