"""One network for an anchor, what is alike and what is not; and a margin between them."""

import torch
import torch.nn as nn

PARTS_REFUSED = "it does not take a part of its batch"


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 6), nn.PReLU(), nn.Linear(6, 3)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9))
    near = nn.TripletMarginLoss(margin=1.0)
    apart = nn.CosineEmbeddingLoss(margin=0.2)
    batches = 3 * [(run.normal(6, 4), run.normal(6, 4), run.normal(6, 4)) for _ in range(2)]
    signs = torch.tensor([1, -1, 1, -1, 1, -1])

    def loss_of(anchor, positive, negative):
        a, p, n = model(anchor), model(positive), model(negative)
        return near(a, p, n) + apart(a, p, signs)

    @run.capture
    def step(anchor, positive, negative):
        optimizer.zero_grad()
        loss = loss_of(anchor, positive, negative)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for anchor, positive, negative in batches:
        run.log(loss=step(anchor, positive, negative))
