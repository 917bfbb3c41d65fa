"""What an error says when a GPU has no memory left."""

from tinyxp.backends.common.memory import Memory, in_words


def shortage(device: str, wanted: int, memory: Memory) -> str:
    """Why ``wanted`` bytes cannot be allocated, and what to try.

    >>> memory = Memory(70 << 30, 71 << 30, 71 << 30, 1 << 30, 80 << 30)
    >>> shortage("cuda:0", 2 << 30, memory).partition(", ")[0]
    'out of memory on cuda:0: asked for 2.0 GiB; of 80.0 GiB'
    """
    used, reserved, _, free, total = memory
    kept, others = reserved - used, total - free - reserved
    tries = [
        "a smaller batch",
        "tx.recompute for the blocks of the model",
        "tx.no_grad() where no gradient is needed",
        "del of losses and results that are done with, as each holds its whole graph",
    ]
    if kept + free >= wanted:
        tries.insert(0, "tx.cuda.empty_cache(): enough is free, but in too small pieces")
    if 2 * others > total:
        tries.insert(0, "to end the other programs on this GPU (nvidia-smi names them)")
    return (
        f"out of memory on {device}: asked for {in_words(wanted)}; of {in_words(total)}, arrays "
        f"hold {in_words(used)}, {in_words(kept)} are kept for later ones, {in_words(others)} are "
        f"held by others, {in_words(free)} are free. Try {'; '.join(tries)}. "
        "tx.cuda.memory_summary() lists the tensors"
    )
