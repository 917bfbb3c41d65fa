import tinyxp as tx


def perceptron_step(w, b, x, y):
    guess = 1 if x @ w + b > 0 else 0
    if guess == y:
        return w, b
    t = 2 * y - 1
    return w + t * x, b + t


def train(points, labels):
    w, b = tx.zeros(2), tx.asarray(0.0)
    for _ in range(100):
        for x, y in zip(points, labels, strict=True):
            w, b = perceptron_step(w, b, x, y)
        if tx.all((points @ w + b > 0) == (labels == 1)):
            break
    return w, b
