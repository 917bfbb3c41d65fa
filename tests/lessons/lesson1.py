import tinyxp as tx


def standardize(x):
    return (x - tx.mean(x, axis=0)) / tx.std(x, axis=0)


def outer_table(a, b):
    return a[:, None] * b


def distances(a, b):
    difference = a[:, None, :] - b  # (n, m, d)
    return tx.sqrt(tx.sum(difference**2, axis=2))
