import tinyxp as tx


def my_gradient(x, w, b, t):
    y = tx.tanh(x @ w + b)
    dy = 2 * (y - t) / len(t)
    ds = dy * (1 - y**2)
    return x.T @ ds, tx.sum(ds)


def numerical_gradient(f, w):
    eps, slopes = 1e-5, []
    for i in range(len(w)):
        e = eps * tx.eye(len(w), dtype=tx.float64)[i]
        slopes.append((f(w + e) - f(w - e)) / (2 * eps))
    return tx.stack(slopes)
