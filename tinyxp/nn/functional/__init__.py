"""Functions of layers without their parameters, under PyTorch's names: ``tx.nn.functional``."""

from tinyxp.nn.functional.activations import *
from tinyxp.nn.functional.affine import *
from tinyxp.nn.functional.attention import *
from tinyxp.nn.functional.dropouts import *
from tinyxp.nn.functional.embeddings import *
from tinyxp.nn.functional.losses import *
from tinyxp.nn.functional.norms import *
