"""``tx.nn.functional``: layers, activations and losses as functions, with PyTorch's names."""

from tinyxp.nn.functional.activations import *
from tinyxp.nn.functional.adaptive_pooling import *
from tinyxp.nn.functional.attention import *
from tinyxp.nn.functional.average_pooling import *
from tinyxp.nn.functional.classification_losses import *
from tinyxp.nn.functional.convolution import *
from tinyxp.nn.functional.ctc import *
from tinyxp.nn.functional.distances import *
from tinyxp.nn.functional.dropouts import *
from tinyxp.nn.functional.embeddings import *
from tinyxp.nn.functional.folding import *
from tinyxp.nn.functional.grid_sampling import *
from tinyxp.nn.functional.interpolation import *
from tinyxp.nn.functional.linear_layers import *
from tinyxp.nn.functional.margin_losses import *
from tinyxp.nn.functional.max_pooling import *
from tinyxp.nn.functional.multihead_attention import *
from tinyxp.nn.functional.normalization import *
from tinyxp.nn.functional.padding import *
from tinyxp.nn.functional.piecewise_activations import *
from tinyxp.nn.functional.probability_losses import *
from tinyxp.nn.functional.recurrent import *
from tinyxp.nn.functional.regression_losses import *
from tinyxp.nn.functional.shuffle import *
