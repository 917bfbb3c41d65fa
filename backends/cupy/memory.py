"""What a GPU's memory is used for, in words."""

GIB = 1 << 30


def sized(count: float) -> str:
    """A number of bytes.

    >>> sized(512), sized(3 << 20), sized(5 << 29)
    ('512 B', '3.0 MiB', '2.5 GiB')
    """
    for unit, name in ((GIB, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{int(count)} B"


def shortage(device: str, wanted: int, used: int, reserved: int, free: int, total: int) -> str:
    """Why ``wanted`` bytes could not be had, and what to try.

    ``used`` bytes are held by arrays, ``reserved`` - ``used`` kept for later ones; of the device's
    ``total``, ``free`` belong to nobody.

    >>> shortage("cuda:0", 2 << 30, 70 << 30, 71 << 30, 1 << 30, 80 << 30).partition(", ")[0]
    'out of memory on cuda:0: asked for 2.0 GiB; of 80.0 GiB'
    """
    kept, others = reserved - used, total - free - reserved
    tries = [
        "a smaller batch",
        "tx.checkpoint for the blocks of the model",
        "tx.no_grad() where no gradient is needed",
        "del of losses and results that are done with, as each holds its whole graph",
    ]
    if kept + free >= wanted:
        tries.insert(0, "tx.cuda.empty_cache(): enough is free, but in too small pieces")
    if 2 * others > total:
        tries.insert(0, "to end the other programs on this GPU (nvidia-smi names them)")
    return (
        f"out of memory on {device}: asked for {sized(wanted)}; of {sized(total)}, arrays hold "
        f"{sized(used)}, {sized(kept)} are kept for later ones, {sized(others)} are held by "
        f"others, {sized(free)} are free. Try {'; '.join(tries)}. tx.cuda.memory_summary() lists "
        "the tensors"
    )
