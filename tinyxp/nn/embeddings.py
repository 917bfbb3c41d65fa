"""Embeddings: a learned vector for each index, or for each bag of indices."""

from dataclasses import KW_ONLY, InitVar
from typing import Any, Self

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.fields import FunctionalModule
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import empty
from tinyxp.random import Generator

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(FunctionalModule):
    """The base of both embeddings: checks and the weight."""

    num_embeddings: int
    embedding_dim: int

    def _prepare(
        self: Any, weight: Tensor | None, device: Any, dtype: Any, generator: Generator | None
    ) -> None:
        """Check the options, and make the weight."""
        name, n = type(self).__name__, self.num_embeddings
        shape, padding_idx = (n, self.embedding_dim), self.padding_idx
        if padding_idx is not None and not -n <= padding_idx < n:
            raise ArgumentError(f"padding_idx {padding_idx} is out of range for {n} embeddings")
        if self.sparse:
            raise ArgumentError(f"{name} does not support sparse gradients; omit sparse=True")
        if weight is not None and weight.shape != shape:
            raise ShapeError(f"{name} expects a weight {shape}, got {weight.shape}")
        self.padding_idx = None if padding_idx is None else padding_idx % n
        if weight is None:
            self.weight = Parameter(empty(shape, device=device, dtype=dtype))
            self.reset_parameters(generator)
        else:
            self.weight = Parameter(weight)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            weight = self.weight.detach()
            weight[self.padding_idx] = 0.0
            self.weight.array = weight.array

    @classmethod
    def _of(cls: Any, embeddings: Tensor, freeze: bool, *options: Any, **named: Any) -> Any:
        if embeddings.ndim != 2:
            raise ShapeError(
                f"from_pretrained expects (num_embeddings, embedding_dim), got {embeddings.shape}"
            )
        module = cls(*embeddings.shape, *options, _weight=embeddings, **named)
        module.weight.requires_grad_(not freeze)
        return module

    def extra_repr(self, after: str = "") -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        options = "" if self.max_norm is None else f", max_norm={self.max_norm}"
        options += "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        options += ", scale_grad_by_freq=True" if self.scale_grad_by_freq else ""
        sizes = f"{self.num_embeddings}, {self.embedding_dim}"
        return sizes + (options + after + padding if after else padding + options)


class Embedding(_Table, function=F.embedding, learned=("weight",)):
    """y[...] = weight[x[...]]: integers (...) -> (..., embedding_dim).

    ``weight`` (num_embeddings, embedding_dim) starts from N(0, 1); the row ``padding_idx`` starts
    as zeros and gets no gradient. For the other options see ``functional.embedding``. Raises
    IndexingError, DTypeError, ArgumentError.

    >>> tx.nn.Embedding(10, 3)(tx.asarray([[1, 9]])).shape
    (1, 2, 3)
    """

    padding_idx: int | None = None
    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    sparse: bool = False
    _weight: InitVar[Tensor | None] = None
    _freeze: InitVar[bool] = False
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    generator: InitVar[Generator | None] = None

    def __post_init__(
        self,
        _weight: Tensor | None,
        _freeze: bool,
        device: str | None,
        dtype: Any,
        generator: Generator | None,
    ) -> None:
        self._prepare(_weight, device, dtype, generator)
        self.weight.requires_grad_(not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """Make an Embedding with the weight ``embeddings``, which is not learned if ``freeze``.

        >>> tx.nn.Embedding.from_pretrained(tx.eye(3))(tx.asarray([2]))
        tensor([[0., 0., 1.]])
        """
        options = padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
        return cls._of(embeddings, freeze, *options)


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the rows of ``weight`` in each bag of indices.

    Integers (B, N), or (N) with offsets (B), -> (B, embedding_dim). ``weight`` starts as that of
    ``Embedding``; for options see ``functional.embedding_bag``. Raises ShapeError, DTypeError,
    IndexingError, ArgumentError.

    >>> tx.nn.EmbeddingBag(10, 3, mode="sum")(tx.asarray([1, 2, 4, 5]), tx.asarray([0, 3])).shape
    (2, 3)
    """

    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    mode: str = "mean"
    sparse: bool = False
    _weight: InitVar[Tensor | None] = None
    include_last_offset: bool = False
    padding_idx: int | None = None
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    generator: InitVar[Generator | None] = None

    def __post_init__(
        self, _weight: Tensor | None, device: Any, dtype: Any, generator: Generator | None
    ) -> None:
        self._prepare(_weight, device, dtype, generator)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """Make an EmbeddingBag with the weight ``embeddings``, which is not learned if ``freeze``.

        >>> tx.nn.EmbeddingBag.from_pretrained(tx.eye(2))(tx.asarray([[0, 1]]))
        tensor([[0.5, 0.5]])
        """
        options = max_norm, norm_type, scale_grad_by_freq, mode, sparse
        last = {"include_last_offset": include_last_offset, "padding_idx": padding_idx}
        return cls._of(embeddings, freeze, *options, **last)

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Any:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self, after: str = "") -> str:
        return super().extra_repr(f", mode={self.mode!r}{after}")
