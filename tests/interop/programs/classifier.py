"""A convolution, the mean over each image, cross-entropy."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 4, kernel_size=3, stride=2)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        return self.conv2(x).mean(dim=(2, 3))


def program(run):
    model = run.begin(Net())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9))
    batches = 3 * [(run.normal(6, 3, 9, 9), run.integers(4, 6)) for _ in range(2)]

    def loss_of(images, labels):
        return F.cross_entropy(model(images), labels, label_smoothing=0.1)

    @run.capture
    def step(images, labels):
        optimizer.zero_grad()
        loss = loss_of(images, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for images, labels in batches:
        run.log(loss=step(images, labels))
