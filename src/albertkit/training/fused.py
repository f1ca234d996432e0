"""The encoder's training step for the CPU: forward and backward of all layers as one operation of autograd.

The model explains itself in :mod:`albertkit.models.torch.encoder`; this is the same computation, and its gradient, in the order
that a processor likes. The weights that layers share are cast and laid out once for an update, for the forward and for the
backward pass, and used in all layers and all parts of a batch; their gradients are added up in float32, layer after layer, in one
place; and a layer keeps no more than the backward pass cannot cheaply compute again.

Shapes: T tokens of a packed batch · R rows, those of the tokens and some to spare · E embedding · H hidden · I inputs ·
O outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from albertkit.inference.prepacked import PrepackedLinear, has_prepacking
from albertkit.inference.prepared import fingerprint
from albertkit.models.shapes import Float, Int
from albertkit.models.torch.attention import AlbertAttention
from albertkit.models.torch.encoder import AlbertEncoder, AlbertLayer, AlbertLayerGroup
from albertkit.models.torch.packing import Layout, Packed
from albertkit.models.torch.weights import AlbertPreTrainedModel
from albertkit.outputs import BaseModelOutput
from albertkit.training.fused_activation import find_both_ways
from albertkit.training.fused_attention import Attend, Backward, attend_in_blocks, attend_with_kernel

__all__ = ["FusedEncoder", "fuse"]

_STEP = 64
"""The number of rows is a multiple of it: oneDNN keeps what it makes for every new shape, so there are to be few."""

_PLAIN = (
    AlbertEncoder, AlbertLayerGroup, AlbertLayer, AlbertAttention, nn.LayerNorm, nn.Linear, nn.Dropout, nn.ModuleList
)  # fmt: skip
"""What is computed here: exactly these classes, since a subclass may do something else."""


def fuse(model: AlbertPreTrainedModel, dtype: torch.dtype) -> None:
    """Let the encoder of a model train by way of :class:`FusedEncoder`; parameters and ``state_dict`` stay what they are.

    Args:
        model: With or without heads.
        dtype: Of the products, and of what lies between the layers: float32 or bfloat16.
    """
    for encoder in [module for module in model.modules() if isinstance(module, AlbertEncoder)]:
        encoder.forward = FusedEncoder(encoder, dtype)  # type: ignore[method-assign]


class FusedEncoder:
    """Stands for the ``forward`` of ``encoder``: computes packed batches itself, and leaves to it what it does not know.

    That is: padded batches, and whatever is not differentiated; active dropout, masks of heads, kept states, relative positions;
    layers that were replaced (by LoRA's, for one) or given a hook; other devices, and parameters that are not float32.

    Args:
        encoder: Its parameters are read anew after each change that shows.
        dtype: float32 or bfloat16.
    """

    def __init__(self, encoder: AlbertEncoder, dtype: torch.dtype) -> None:
        self.encoder = encoder
        self.dtype = dtype
        self._prepared: tuple[list[object], list[_Layer]] = ([], [])

    def __getstate__(self) -> dict[str, object]:
        """For a copy, which prepares its own: what was laid out for the processor cannot be copied."""
        return vars(self) | {"_prepared": ([], [])}

    def __call__(
        self,
        embedded: Float[Tensor, "*tokens E"],
        layout: Layout,
        head_mask: Float[Tensor, "layers N"] | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        """Encode tokens; the arguments are those of :class:`~albertkit.models.torch.encoder.AlbertEncoder`."""
        asked = head_mask is not None or output_attentions or output_hidden_states
        if asked or not isinstance(layout, Packed) or not torch.is_grad_enabled() or not self._can_run():
            forward = type(self.encoder).forward
            return forward(self.encoder, embedded, layout, head_mask, output_attentions, output_hidden_states)
        config, tokens = self.encoder.config, len(embedded)
        make_attend = attend_in_blocks if self.dtype == torch.bfloat16 else attend_with_kernel
        attend = make_attend(layout.groups, (config.num_attention_heads, config.head_size))
        rows = F.pad(embedded, (0, 0, 0, -tokens % _STEP))
        hidden = self.encoder.embedding_hidden_mapping_in(rows)
        layers = self._prepare()
        parameters = [parameter for layer in dict.fromkeys(layers) for parameter in layer.parameters]
        encoded: Tensor = _Encode.apply(hidden, layers, attend, self._recomputes, *parameters)  # type: ignore[no-untyped-call]
        return BaseModelOutput(encoded[:tokens])

    @property
    def _recomputes(self) -> bool:
        return any(group.recomputation is not None for group in self._groups())

    def _groups(self) -> Iterable[AlbertLayerGroup]:
        groups: Iterable[AlbertLayerGroup] = self.encoder.albert_layer_groups  # type: ignore[assignment]
        return groups

    def _can_run(self) -> bool:
        """Whether this is what the encoder computes, here and now."""
        return (
            all(p.device.type == "cpu" and p.dtype == torch.float32 for p in self.encoder.parameters())
            and has_prepacking(self.dtype)
            and self.encoder.config.position_embedding_type == "absolute"
            and all(type(module) in _PLAIN and not _is_changed(module) for module in self.encoder.modules())
            and not any(group.recomputation for group in self._groups())  # options are PyTorch's own
        )

    @torch.no_grad()
    def _prepare(self) -> list[_Layer]:
        """The inner layers in the order in which they are applied, made anew where the parameters have changed."""
        seen = fingerprint(self.encoder)
        known, layers = self._prepared
        if seen != known:
            config = self.encoder.config
            groups = [[_Layer(layer, self.dtype) for layer in group.albert_layers] for group in self._groups()]  # type: ignore[arg-type]
            layers = [layer for index in range(config.num_hidden_layers) for layer in groups[config.group_of(index)]]
            self._prepared = (seen, layers)
        return layers


def _is_changed(module: nn.Module) -> bool:
    """Whether a module does now what its class does not: a hook's work, or dropout."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    replaced = "forward" in module.__dict__ and not isinstance(module.forward, FusedEncoder)
    rate = getattr(module, "p", 0.0) or getattr(module, "dropout_prob", 0.0)
    return any(hooks) or replaced or (module.training and rate > 0)


# ---------------------------------------------------------------------- parts

_Sums = dict["_Product | _Norm", list[Tensor]]
"""Gradients of the parameters of each part, float32, added up over all layers that use it."""


class _Product:
    """Linear layers of the same inputs, side by side, both ways.

    Args:
        linears: The layers.
        dtype: Of the product.
    """

    def __init__(self, linears: Sequence[nn.Linear], dtype: torch.dtype) -> None:
        self.parameters = [linear.weight for linear in linears] + [linear.bias for linear in linears]
        self._sizes = [linear.out_features for linear in linears]
        weight = torch.cat([linear.weight for linear in linears]).to(dtype)
        self._multiply = PrepackedLinear(weight, torch.cat([linear.bias for linear in linears]).to(dtype))
        self._multiply_back = PrepackedLinear(weight.t(), weight.new_zeros(weight.shape[1]))

    def __call__(self, inputs: Float[Tensor, "R I"], residual: Float[Tensor, "R O"] | None = None) -> Float[Tensor, "R O"]:
        return self._multiply(inputs, residual=residual)

    def make_sums(self) -> list[Tensor]:
        outputs, inputs = sum(self._sizes), self.parameters[0].shape[1]
        return [torch.zeros(outputs, inputs), torch.zeros(outputs)]

    def split(self, sums: list[Tensor]) -> list[Tensor]:
        """The gradient of each of the parameters."""
        return [part for total in sums for part in torch.split(total, self._sizes)]

    def go_back(
        self,
        gradient: Float[Tensor, "R O"],
        inputs: Float[Tensor, "R I"],
        sums: _Sums,
        residual: Float[Tensor, "R I"] | None = None,
    ) -> Float[Tensor, "R I"]:
        """Add to the parameters' gradients, and give that of the inputs, with ``residual`` added."""
        weight, bias = sums[self]
        if gradient.dtype == torch.float32:
            weight.addmm_(gradient.t(), inputs)
        else:
            weight.add_(gradient.t() @ inputs)
        bias.add_(gradient.sum(0))  # added up in float32 within, without a copy of all
        return self._multiply_back(gradient, residual=residual)


class _Norm:
    """A LayerNorm, both ways.

    Args:
        norm: The module.
    """

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.parameters = [norm.weight, norm.bias]
        self._eps = norm.eps

    def __call__(self, tokens: Float[Tensor, "R H"]) -> Float[Tensor, "R H"]:
        return self._normalise(tokens)[0]

    def make_sums(self) -> list[Tensor]:
        return [torch.zeros_like(parameter) for parameter in self.parameters]

    def split(self, sums: list[Tensor]) -> list[Tensor]:
        return sums

    def go_back(self, gradient: Float[Tensor, "R H"], tokens: Float[Tensor, "R H"], sums: _Sums) -> Float[Tensor, "R H"]:
        """Add to the parameters' gradients, and give that of the tokens."""
        scale, shift = self.parameters
        _, mean, deviation = self._normalise(tokens)
        differentiate = torch.ops.aten.native_layer_norm_backward
        backward: Tensor
        backward, *parts = differentiate(gradient, tokens, scale.shape, mean, deviation, scale, shift, [True] * 3)
        for total, part in zip(sums[self], parts, strict=True):
            total.add_(part)
        return backward

    def _normalise(self, tokens: Float[Tensor, "R H"]) -> tuple[Tensor, Tensor, Tensor]:
        """The normalised tokens, and for each its mean and the inverse of its deviation."""
        scale, shift = self.parameters
        return torch.native_layer_norm(tokens, scale.shape, scale, shift, self._eps)


# ---------------------------------------------------------------------- layers


@dataclass(eq=False)
class _Kept:
    """What a layer keeps for its backward pass: what its products give, and its attention's own."""

    attention: Backward
    context: Float[Tensor, "R H"]
    first_sum: Float[Tensor, "R H"]
    wide: Float[Tensor, "R F"]
    second_sum: Float[Tensor, "R H"]

    def select(self, rows: Int[Tensor, " P"]) -> _Kept:
        """The same of some of the rows; attention needs all."""
        parts = (part.index_select(0, rows) for part in (self.context, self.first_sum, self.wide, self.second_sum))
        return _Kept(self.attention, *parts)


class _Layer:
    """One inner layer, both ways.

    Args:
        layer: The module.
        dtype: Of the products.
    """

    def __init__(self, layer: AlbertLayer, dtype: torch.dtype) -> None:
        attention = layer.attention
        self.dtype = dtype
        self.project = _Product([attention.query, attention.key, attention.value], dtype)
        self.dense, self.ffn, self.ffn_output = (
            _Product([linear], dtype) for linear in (attention.dense, layer.ffn, layer.ffn_output)
        )
        self.first_norm, self.second_norm = _Norm(attention.LayerNorm), _Norm(layer.full_layer_layer_norm)
        self.activation = find_both_ways(layer.activation)
        self.parts = (self.project, self.dense, self.ffn, self.ffn_output, self.first_norm, self.second_norm)
        self.parameters = [parameter for part in self.parts for parameter in part.parameters]

    def __call__(self, hidden: Float[Tensor, "R H"], attend: Attend) -> tuple[Float[Tensor, "R H"], _Kept]:
        context, attention = attend(self.project(hidden))
        first_sum = self.dense(context, residual=hidden)
        attended = self.first_norm(first_sum)
        wide = self.ffn(attended)
        second_sum = self.ffn_output(self.activation(wide), residual=attended)
        return self.second_norm(second_sum), _Kept(attention, context, first_sum, wide, second_sum)

    def go_back(
        self,
        gradient: Float[Tensor, "R H"],
        hidden: Float[Tensor, "R H"],
        kept: _Kept,
        sums: _Sums,
        rows: Int[Tensor, " P"] | None,
    ) -> Float[Tensor, "R H"]:
        """Add to the parameters' gradients, and give that of what entered the layer.

        Args:
            gradient: Of what the layer gave.
            hidden: What entered it.
            kept: What it kept.
            sums: What is added to.
            rows: Where ``gradient`` is not 0; ``None`` if that may be anywhere.
        """
        if rows is not None:
            gradient, kept = gradient.index_select(0, rows), kept.select(rows)
        second = self.second_norm.go_back(gradient, kept.second_sum, sums)
        activated, differentiate = self.activation.replay(kept.wide)
        outer = differentiate(self.ffn_output.go_back(second, activated, sums))
        outer = self.ffn.go_back(outer, self.first_norm(kept.first_sum), sums, residual=second)
        first = self.first_norm.go_back(outer, kept.first_sum, sums)
        outer = self.dense.go_back(first, kept.context, sums)
        if rows is not None:
            first, outer = (torch.zeros_like(hidden).index_copy_(0, rows, part) for part in (first, outer))
        return self.project.go_back(kept.attention(outer), hidden, sums, residual=first)


class _Encode(torch.autograd.Function):
    """All layers, one after the other; the types are those of the products, whatever autocast says."""

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def forward(
        ctx: Any, hidden: Float[Tensor, "R H"], layers: list[_Layer], attend: Attend, recomputes: bool, *parameters: nn.Parameter
    ) -> Float[Tensor, "R H"]:
        """Encode; ``parameters`` are those of the layers, for autograd to see."""
        entering = hidden.to(layers[0].dtype)
        ctx.layers, ctx.attend, ctx.entering, ctx.kept = layers, attend, entering, []
        for layer in layers:
            leaving, kept = layer(entering, attend)
            ctx.kept.append(entering if recomputes else kept)
            entering = leaving
        return entering.float()

    @staticmethod
    @once_differentiable
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def backward(  # type: ignore[override]
        ctx: Any, *gradients: Float[Tensor, "R H"]
    ) -> tuple[Tensor | None, ...]:
        """Gradients of the hidden states and of the parameters."""
        layers: list[_Layer] = ctx.layers
        if len(ctx.kept) < len(layers):
            raise RuntimeError("a fused encoder keeps nothing for a second backward pass over the same batch")
        distinct = list(dict.fromkeys(layers))
        sums: _Sums = {part: part.make_sums() for layer in distinct for part in layer.parts}
        gradient = gradients[0].to(layers[0].dtype)
        rows = _find_rows(gradient)
        for index in reversed(range(len(layers))):
            kept = ctx.kept.pop()
            if isinstance(kept, Tensor):
                hidden = kept
                _, kept = layers[index](hidden, ctx.attend)
            else:  # what left the layer below is cheaply found again
                hidden = layers[index - 1].second_norm(ctx.kept[-1].second_sum) if index else ctx.entering
            gradient = layers[index].go_back(gradient, hidden, kept, sums, rows)
            rows = None
        found = chain.from_iterable(part.split(sums[part]) for layer in distinct for part in layer.parts)
        return gradient.float(), None, None, None, *found


def _find_rows(gradient: Float[Tensor, "R H"]) -> Int[Tensor, " P"] | None:
    """The rows that the heads have read, which is few of them in masked LM, and some more; ``None`` if they are nearly all."""
    read = gradient.any(dim=1)
    wanted = max(1, -(-int(read.sum()) // _STEP)) * _STEP
    return read.byte().argsort(descending=True, stable=True)[:wanted] if wanted < len(read) else None
