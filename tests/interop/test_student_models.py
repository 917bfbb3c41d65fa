"""Models as students write them for PyTorch, run on tinyxp with nothing but the imports changed.

Both start from one state dict, PyTorch's, and are trained for three steps: losses, gradients and
the state dict that goes back agree. (A larger eps than usual keeps the optimizers from blowing up
gradients that are nothing but rounding.)
"""

import re

import numpy as np
import pytest

import tinyxp as tx

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")

IMPORTS = """
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
"""

CNN = """
class Model(nn.Module):
    def __init__(self):
        super(Model, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=3)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(0.0)
        self.fc1 = nn.Linear(54, 16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.relu(self.bn(self.conv2(x)), inplace=True)
        x = torch.flatten(x, 1)
        x = self.dropout(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)

def loss_of(model, images, labels):
    return F.nll_loss(model(images), labels)

def optimizer_of(model):
    return optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
"""

RESNET = """
class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(Block(1, 4, 1), Block(4, 8, 2))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def forward(self, x):
        x = self.pool(self.layers(x))
        return self.fc(x.view(x.shape[0], -1))

criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

def loss_of(model, images, labels):
    return criterion(model(images), labels)

def optimizer_of(model):
    return optim.AdamW(model.parameters(), lr=1e-2, eps=1e-4)
"""

LSTM = """
class Model(nn.Module):
    def __init__(self, symbols=10, width=8):
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, symbols)

    def forward(self, ids):
        y, (h, c) = self.lstm(self.embed(ids))
        return self.out(y) + h.mean(dim=0).unsqueeze(1).sum(dim=-1, keepdim=True)

def loss_of(model, images, labels):
    ids = (images.squeeze(1) > 0).long().sum(dim=-1) % 10  # (batch, 12) symbols
    logits = model(ids)
    return F.cross_entropy(logits.transpose(1, 2), (ids + labels.unsqueeze(1)) % 10)

def optimizer_of(model):
    return optim.RMSprop(model.parameters(), lr=1e-2, eps=1e-4)
"""

TRANSFORMER = """
class PositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len=50):
        super().__init__()
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros((max_len, d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return x + self.pe[: x.shape[1]]

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.source = nn.Linear(12, 8)
        self.target = nn.Embedding(10, 8)
        self.position = PositionalEncoding(8)
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x, ids):
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        y = self.transformer(
            self.position(self.source(x)), self.position(self.target(ids)), tgt_mask=mask
        )
        return self.head(y)

def loss_of(model, images, labels):
    ids = torch.stack([labels, (labels + 1) % 10, (labels + 2) % 10], dim=1)
    logits = model(images.flatten(0, 1), ids)
    return nn.CrossEntropyLoss()(logits.view(-1, 10), ids.flatten())

def optimizer_of(model):
    return optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.98), eps=1e-4)
"""

VAE = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.LeakyReLU(0.2))
        self.mean, self.logvar = nn.Linear(16, 4), nn.Linear(16, 4)
        self.decoder = nn.Sequential(
            nn.Linear(4, 18), nn.ELU(), nn.Unflatten(1, (2, 3, 3)),
            nn.ConvTranspose2d(2, 1, 4, stride=2, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), nn.Sigmoid(),
        )

    def forward(self, x):
        h = self.encoder(x)
        mean, logvar = self.mean(h), self.logvar(h)
        z = mean + torch.exp(0.5 * logvar) * 0.5
        return self.decoder(z), mean, logvar

def loss_of(model, images, labels):
    target = torch.sigmoid(images)
    y, mean, logvar = model(images)
    bce = F.binary_cross_entropy(y, target, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
    return (bce + kld) / images.shape[0]

def optimizer_of(model):
    return optim.Adam(model.parameters(), lr=1e-2, eps=1e-4)
"""

MODELS = {"cnn": CNN, "resnet": RESNET, "lstm": LSTM, "transformer": TRANSFORMER, "vae": VAE}


def run(source, state, library):
    """Three training steps from ``state``: the losses, the first gradients, and the last state."""
    scope = {}
    exec(source, scope)
    model = scope["Model"]()
    model.load_state_dict(state)
    model.train()
    rng = np.random.default_rng(0)
    images = library.asarray(rng.normal(size=(6, 1, 12, 12)).astype("float32"))
    labels = library.asarray(rng.integers(0, 10, size=6))
    optimizer = scope["optimizer_of"](model)
    losses, gradients = [], {}
    for _ in range(3):
        optimizer.zero_grad()
        loss = scope["loss_of"](model, images, labels)
        loss.backward()
        if not gradients:
            gradients = {name: np.asarray(p.grad) for name, p in model.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return losses, gradients, model.state_dict()


@pytest.mark.filterwarnings("ignore:.*nested_tensor")
@pytest.mark.parametrize("name", MODELS)
def test_only_the_imports_change(name, backend):
    source = IMPORTS + MODELS[name]
    scope = {}
    torch.manual_seed(0)
    exec(source, scope)
    state = scope["Model"]().state_dict()
    losses, gradients, trained = run(source, {k: v.clone() for k, v in state.items()}, torch)
    ours = re.sub(r"^import torch(\S*)", r"import tinyxp\1", source, flags=re.MULTILINE)
    ours = ours.replace("import tinyxp\n", "import tinyxp as torch\n")
    found, slopes, state = run(ours, state, tx)
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    assert slopes.keys() == gradients.keys()
    for key, g in gradients.items():
        scale = max(abs(g).max(), 1e-3)
        np.testing.assert_allclose(slopes[key], g, rtol=0, atol=1e-4 * scale, err_msg=key)
        assert abs(g).max() > 0 or "bias" in key, f"the gradient of {key} is 0"
    scope["Model"]().load_state_dict({k: torch.asarray(v.numpy()) for k, v in state.items()})
    for key, value in trained.items():
        np.testing.assert_allclose(state[key].numpy(), value, rtol=0, atol=1e-4, err_msg=key)
