"""Fold frozen BatchNorm into the convolution before it.

In inference mode BatchNorm is a multiplication and an addition per channel; folded into the
convolution's kernel and bias it costs nothing, and a framework can fuse the result with the
activation. The values are equal up to rounding in the convolution's precision. A trainable kernel
is scaled in every step, so its gradient is the same too; BatchNorm that is trained is never folded.
A zero-padding layer before such a convolution is dropped if `padding="same"` adds the same zeros.

A convolution with one group per channel, as in ConvNeXt, is computed as a depthwise convolution:
Keras on TensorFlow compiles grouped convolutions with XLA, which takes 45 to 100 times as long on a
CPU. Without this the frozen pass of ConvNeXt-Tiny takes seven times as long (8 images at 224 px,
two cores).

Without folding a whole run takes 1.06 to 1.14 times the processor time with MobileNetV2 at 160 px,
1.05 with ResNet50 and 1.02 with EfficientNet-Lite0 on the demo (`benchmarks/ablation.py`, two
cores).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers, ops

from bench.models.cuts import as_list, input_tensors
from bench.system.ablation import is_enabled

Convolve = Callable[..., Any]


def fold_batchnorm(model: Any, depthwise: Convolve = ops.depthwise_conv) -> Any:
    """Return an equivalent model that shares the weights, with foldable BatchNorm folded and
    depthwise convolutions computed by `depthwise`."""
    if not is_enabled("folding"):
        return model
    pairs, paddings = _find_foldable(model)
    absorbed = {id(convolution) for convolution in pairs.values()}
    absorbed |= {id(padding) for padding in paddings.values()}

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if id(layer) in absorbed:
            return arguments[0]  # the folded layer takes this layer's input
        if layer.name in pairs:
            convolution = pairs[layer.name]
            zeros = paddings.get(convolution.name)
            return _FoldedConvolution(convolution, layer, zeros, depthwise)(arguments[0])
        if _is_grouped_by_channel(layer) or (replaces_depthwise and _is_depthwise(layer)):
            return _DepthwiseConvolution(layer, depthwise)(arguments[0])
        return layer(*arguments, **keywords)

    replaces_depthwise = depthwise is not ops.depthwise_conv
    return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)


def make_portable(model: Any) -> Any:
    """Return an equivalent model that shares the weights and can be exported to ONNX.

    Convolutions with one group per channel become depthwise convolutions: Keras hides grouped ones
    in a compiled function.
    """

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if hasattr(layer, "operations"):  # a nested model
            return make_portable(layer)(*arguments, **keywords)
        if _is_grouped_by_channel(layer):
            return _DepthwiseConvolution(layer)(arguments[0])
        return layer(*arguments, **keywords)

    return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)


def _find_foldable(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two mappings: BatchNorm name -> the convolution that feeds only this BatchNorm, and
    name of such a convolution -> the zero-padding layer that feeds only this convolution."""
    uses = Counter(id(t) for op in model.operations for t in input_tensors(op))
    uses.update(id(t) for t in as_list(model.outputs))
    producers = {id(t): op for op in model.operations for t in as_list(op.output)}
    pairs: dict[str, Any] = {}
    paddings: dict[str, Any] = {}
    for op in model.operations:
        if isinstance(op, layers.BatchNormalization):
            layer = producers.get(id(op.input))
            if _is_foldable_convolution(layer) and uses[id(op.input)] == 1 and op.axis in (-1, 3):
                pairs[op.name] = layer
    for convolution in pairs.values():
        layer = producers.get(id(convolution.input))
        if uses[id(convolution.input)] == 1 and _is_same_padding(layer, convolution):
            paddings[convolution.name] = layer
    return pairs, paddings


def _is_foldable_convolution(layer: Any) -> bool:
    return (
        type(layer) in (layers.Conv2D, layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
        and getattr(layer, "groups", 1) == 1
    )


def _is_grouped_by_channel(layer: Any) -> bool:
    return (
        type(layer) is layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.groups == layer.input.shape[-1] > 1
    )


def _is_depthwise(layer: Any) -> bool:
    return (
        type(layer) in (layers.DepthwiseConv2D, layers.SeparableConv2D)
        and layer.data_format == "channels_last"
    )


def _is_same_padding(layer: Any, convolution: Any) -> bool:
    """Return whether `layer` adds the same zeros before `convolution` as `padding="same"` would."""
    return (
        type(layer) is layers.ZeroPadding2D
        and layer.data_format == "channels_last"
        and convolution.padding == "valid"
        and convolution.dilation_rate == (1, 1)
        and layer.padding == _same_padding(convolution, layer.input.shape[1:3])
    )


def _same_padding(convolution: Any, sides: Sequence[int | None]) -> tuple[tuple[int, int], ...]:
    padding = []
    for side, kernel, stride in zip(
        sides, convolution.kernel_size, convolution.strides, strict=True
    ):
        if side is None:
            return ()
        zeros = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        padding.append((zeros // 2, zeros - zeros // 2))
    return tuple(padding)


class _FoldedConvolution(layers.Layer):  # type: ignore[misc]
    """A convolution with BatchNorm's scale in its kernel and BatchNorm's shift in its bias."""

    def __init__(self, convolution: Any, norm: Any, zeros: Any, depthwise: Convolve) -> None:
        # Without autocasting, variables are read in float32: the product of kernel and scale is
        # rounded once, to the convolution's compute dtype.
        policy = convolution.dtype_policy
        super().__init__(name=f"{convolution.name}_folded", dtype=policy, autocast=False)
        self.convolution, self.norm, self.zeros = convolution, norm, zeros
        self.convolve = ops.conv
        if isinstance(convolution, layers.DepthwiseConv2D):
            self.convolve = depthwise

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the convolution's output shape; by default Keras would trace the whole call."""
        shape = inputs.shape
        if self.zeros is not None:
            shape = self.zeros.compute_output_shape(shape)
        shape = self.convolution.compute_output_shape(shape)
        return keras.KerasTensor(shape, self.compute_dtype)

    def call(self, inputs: Any) -> Any:
        layer, norm = self.convolution, self.norm
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        scale = scale if norm.gamma is None else scale * norm.gamma
        shift = -norm.moving_mean * scale
        shift = shift if norm.beta is None else shift + norm.beta
        shift = shift + layer.bias * scale if layer.use_bias else shift
        if isinstance(layer, layers.DepthwiseConv2D):
            scale = ops.reshape(scale, (1, 1, -1, layer.depth_multiplier))
        outputs = self.convolve(
            ops.cast(inputs, self.compute_dtype),
            ops.cast(layer.kernel * scale, self.compute_dtype),
            strides=layer.strides,
            padding=layer.padding if self.zeros is None else "same",
            dilation_rate=layer.dilation_rate,
        )
        return ops.add(outputs, ops.cast(shift, self.compute_dtype))


class _DepthwiseConvolution(layers.Layer):  # type: ignore[misc]
    """A depthwise convolution that shares the weights of a depthwise, separable or grouped one.

    For a separable convolution the pointwise convolution is included.
    """

    def __init__(self, convolution: Any, convolve: Convolve = ops.depthwise_conv) -> None:
        super().__init__(name=f"{convolution.name}_depthwise", dtype=convolution.dtype_policy)
        self.convolution, self.convolve = convolution, convolve

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the spec of the original convolution."""
        return self.convolution.compute_output_spec(inputs)

    def call(self, inputs: Any) -> Any:
        layer = self.convolution
        separable = isinstance(layer, layers.SeparableConv2D)
        kernel = layer.depthwise_kernel if separable else layer.kernel
        height, width, channels, multiplier = kernel.shape
        if _is_grouped_by_channel(layer):
            channels, multiplier = layer.groups, multiplier // layer.groups
        outputs = self.convolve(
            inputs,
            ops.reshape(kernel, (height, width, channels, multiplier)),
            strides=layer.strides,
            padding=layer.padding,
            dilation_rate=layer.dilation_rate,
        )
        if separable:
            outputs = ops.conv(outputs, layer.pointwise_kernel, padding="valid")
        outputs = ops.add(outputs, layer.bias) if layer.use_bias else outputs
        return layer.activation(outputs)
