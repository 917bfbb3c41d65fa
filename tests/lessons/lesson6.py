import tinyxp as tx
from tinyxp import nn
from tinyxp.nn import functional as F


def conv2d(x, w):
    k, m = w.shape[2:]
    rows, columns = x.shape[2] - k + 1, x.shape[3] - m + 1
    out = 0
    for i in range(k):
        for j in range(m):
            part = x[:, :, i : i + rows, j : j + columns]
            out = out + tx.einsum("nchw,oc->nohw", part, w[:, :, i, j])
    return out


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.filters = nn.Conv2d(1, 16, kernel_size=3)
        self.readout = nn.Linear(16 * 3 * 3, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.filters(x)), 2)
        x = x.flatten(1)
        return self.readout(x)
