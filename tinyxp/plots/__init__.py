"""Pictures of a training run, drawn by matplotlib (the extra ``plot``) or as plain text."""

from tinyxp.plots.boundary import Boundary
from tinyxp.plots.curves import Curves
from tinyxp.plots.images import Images
from tinyxp.plots.picture import Picture, show

__all__ = ["Boundary", "Curves", "Images", "Picture", "show"]
