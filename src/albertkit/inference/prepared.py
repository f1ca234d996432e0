"""ALBERT's encoder prepared for the CPU: what its layers share is laid out once, and used in all of them.

The model explains itself in :mod:`albertkit.models.torch.encoder`; this is the same computation in the order that a processor
likes. Queries, keys and values come from one product; GELU and residuals are written by the products before them; attention
takes nearly equal lengths together; and the tokens go through all layers a chunk at a time, so that a chunk stays in cache.

Shapes: T tokens of a packed batch · R rows of it that are wanted · E embedding · H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from albertkit.inference.attention_blocks import Attend, plan_attention
from albertkit.inference.prepacked import PlainLinear, PrepackedLinear, has_prepacking, prepare_linear
from albertkit.inference.quantization import QuantizedLinear, has_int8
from albertkit.models.shapes import Float, Int
from albertkit.models.torch import AlbertModel
from albertkit.models.torch.attention import AlbertAttention
from albertkit.models.torch.embeddings import AlbertEmbeddings
from albertkit.models.torch.encoder import AlbertEncoder, AlbertLayer, AlbertLayerGroup
from albertkit.models.torch.packing import Packed

__all__ = ["PreparedEncoder", "can_prepare", "fingerprint"]

_CHUNK_TOKENS = 1024
"""Most tokens that go through the layers together; a longer sequence goes alone."""

_SAMPLES = 16
"""Values of each parameter that :func:`fingerprint` looks at, at every call."""

_PLAIN = (
    AlbertModel, AlbertEmbeddings, AlbertEncoder, AlbertLayerGroup, AlbertLayer, AlbertAttention,
    nn.Embedding, nn.LayerNorm, nn.Linear, nn.Dropout, nn.ModuleList,
)  # fmt: skip
"""What the prepared form knows how to compute: exactly these classes, since a subclass may do something else."""


def can_prepare(model: AlbertModel) -> bool:
    """Tell whether the prepared form computes what ``model`` does.

    It does not on an accelerator, in float16, in training, with relative positions, nor where a layer was replaced (by LoRA's,
    for one), given a hook or parametrised: the model itself then has to run.
    """
    parameters = list(model.parameters())
    return (
        not model.training
        and model.config.position_embedding_type == "absolute"
        and all(parameter.device.type == "cpu" for parameter in parameters)
        and {parameter.dtype for parameter in parameters} in ({torch.float32}, {torch.bfloat16})
        and all(type(module) in _PLAIN and not _has_hooks(module) for module in model.modules())
    )


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__)


@torch.inference_mode()
def fingerprint(model: nn.Module) -> list[object]:
    """What changes when a model does: two that are equal belong to the same parameters with the same values.

    An update through ``.data`` or ``.numpy()`` leaves no other trace than new values, of which only some from all over each
    parameter are looked at: a change of single weights has to go another way (``with torch.no_grad(): weight[i, j] = …``).
    """
    seen: list[object] = [model.training]
    for module in model.modules():
        seen += [type(module), _has_hooks(module), vars(module).get("activation")]
    samples = []
    for parameter in model.parameters():
        seen += [parameter.data_ptr(), 0 if parameter.is_inference() else parameter._version, parameter.dtype]
        step = 1 + parameter.numel() // _SAMPLES
        samples.append(parameter.contiguous().as_strided((-(-parameter.numel() // step),), (step,)))
    return [*seen, torch.cat(samples).sum(dtype=torch.float64).item()]


_Linear = PlainLinear | PrepackedLinear | QuantizedLinear


class _PreparedLayer:
    """One inner layer.

    Args:
        layer: Its weights are copied.
        make_linear: From a weight, a bias and the type of the outputs.
        attention_dtype: Type of queries, keys and values; all else has the layer's own.
    """

    def __init__(
        self, layer: AlbertLayer, make_linear: Callable[[Tensor, Tensor, torch.dtype], _Linear], attention_dtype: torch.dtype
    ) -> None:
        attention = layer.attention
        projections = (attention.query, attention.key, attention.value)
        self.project = make_linear(
            torch.cat([linear.weight for linear in projections]),
            torch.cat([linear.bias for linear in projections]),
            attention_dtype,
        )
        self.dense, self.ffn, self.ffn_output = (
            make_linear(linear.weight, linear.bias, linear.weight.dtype)
            for linear in (attention.dense, layer.ffn, layer.ffn_output)
        )
        self.activation = layer.activation
        self.norms = [(norm.weight, norm.bias, norm.eps) for norm in (attention.LayerNorm, layer.full_layer_layer_norm)]

    def __call__(
        self, hidden: Float[Tensor, "T H"], attend: Attend, rows: Int[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R H"]:
        context = attend(self.project(hidden))
        if rows is not None:
            context, hidden = context.index_select(0, rows), hidden.index_select(0, rows)
        attended = _normalise(self.dense(context, residual=hidden), *self.norms[0])
        widened = self.ffn(attended, self.activation)
        return _normalise(self.ffn_output(widened, residual=attended), *self.norms[1])


class PreparedEncoder:
    """Computes what the encoder of ``model`` does, for packed batches; :func:`can_prepare` says where.

    Args:
        model: Its weights are copied: after a change (:func:`fingerprint`) it has to be prepared again.
        int8: Quantise the layers' products; attention between them is then in bfloat16 where the processor is fast in it.
    """

    def __init__(self, model: AlbertModel, int8: bool = False) -> None:
        encoder, config = model.encoder, model.config
        widen = encoder.embedding_hidden_mapping_in
        narrow = int8 and has_prepacking(torch.bfloat16) and has_int8(torch.bfloat16)
        self.attention_dtype = torch.bfloat16 if narrow else model.dtype

        def make_linear(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> _Linear:
            return QuantizedLinear(weight, bias, dtype) if int8 else prepare_linear(weight, bias)

        with torch.inference_mode():
            groups = []
            for group in encoder.albert_layer_groups:
                inner_layers: Iterable[AlbertLayer] = group.albert_layers  # type: ignore[assignment]
                groups.append([_PreparedLayer(layer, make_linear, self.attention_dtype) for layer in inner_layers])
            self.widen = prepare_linear(widen.weight, widen.bias)
        self.layers = list(chain.from_iterable(groups[config.group_of(layer)] for layer in range(config.num_hidden_layers)))
        self.heads = (config.num_attention_heads, config.head_size)

    @torch.inference_mode()
    def __call__(
        self, embedded: Float[Tensor, "T E"], layout: Packed, rows: Int[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R H"]:
        """Encode tokens in the encoder's order.

        Args:
            embedded: What the embeddings gave.
            layout: How the tokens lie.
            rows: The tokens whose hidden states are wanted, in rising order; ``None``: all. The last layer treats no others
                after its attention, and chunks without any are passed over.
        """
        encoded = embedded.new_empty(len(embedded) if rows is None else len(rows), self.heads[0] * self.heads[1])
        first = done = 0
        for lengths in _chunk(layout):
            last = first + sum(lengths)
            chosen = None if rows is None else rows[(rows >= first) & (rows < last)] - first
            count = last - first if chosen is None else len(chosen)
            if count:
                encoded[done : done + count] = self._run(embedded[first:last], lengths, chosen)
            first, done = last, done + count
        return encoded

    def _run(self, embedded: Float[Tensor, "T E"], lengths: list[int], rows: Int[Tensor, " R"] | None) -> Float[Tensor, "R H"]:
        """One chunk."""
        attend = plan_attention(lengths, self.heads, self.attention_dtype)
        hidden = self.widen(embedded)
        for layer in self.layers[:-1]:
            hidden = layer(hidden, attend)
        return self.layers[-1](hidden, attend, rows)


def _chunk(layout: Packed) -> Iterator[list[int]]:
    """Lengths of the sequences of each chunk."""
    chunk: list[int] = []
    for count, length in layout.groups:
        for _ in range(count):
            if chunk and sum(chunk) + length > _CHUNK_TOKENS:
                yield chunk
                chunk = []
            chunk.append(length)
    yield chunk


def _normalise(
    tokens: Float[Tensor, "T H"], scale: Float[Tensor, " H"], shift: Float[Tensor, " H"], eps: float
) -> Float[Tensor, "T H"]:
    return torch.layer_norm(tokens, scale.shape, scale, shift, eps)
