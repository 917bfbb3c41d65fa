"""Residual blocks with batch normalisation and activations in place."""

import torch
import torch.nn as nn

PARTS_REFUSED = "uses its batch as a whole"


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
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
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


def program(run):
    model = run.begin(
        nn.Sequential(
            Block(1, 3), Block(3, 4, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(4, 3)
        )
    )
    optimizer = run.watch(
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    )
    criterion = nn.CrossEntropyLoss()
    batches = 3 * [(run.normal(4, 1, 8, 8), run.integers(3, 4)) for _ in range(2)]

    def loss_of(images, labels):
        return criterion(model(images), labels)

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
