"""A convolution and the frozen BatchNorm after it, as one operation.

In inference BatchNorm multiplies and adds per channel; folded into the kernel and a bias it costs
nothing, and a framework can fuse the result with the activation. The values are equal up to the
rounding of the convolution's precision. A kernel that trains is scaled in every step, so its
gradient is the same too; BatchNorm that trains is never folded. A layer that pads the image with
zeros before such a convolution is dropped where the convolution's own padding is the same.

A convolution with a group for each channel, as ConvNeXt has, is computed as the depthwise
convolution that it is: Keras compiles grouped convolutions on TensorFlow with XLA, which takes 45
to 100 times as long on a CPU. Without that the frozen pass of ConvNeXt-Tiny takes seven
times as long (8 images at 224 px, two cores).

A whole run without it takes 1.06 to 1.14 times the processor time with MobileNetV2 at 160 px, 1.05
with ResNet50 and 1.02 with EfficientNet-Lite0 on the demo (`benchmarks/ablation.py`, two cores).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers, ops

from bench.models.cuts import flat, inputs_of
from bench.system.ablation import is_enabled

Convolve = Callable[..., Any]


def folded(model: Any, depthwise: Convolve = ops.depthwise_conv) -> Any:
    """Return a model of the same function over the same weights, with foldable pairs folded and
    depthwise convolutions computed by `depthwise`."""
    if not is_enabled("folding"):
        return model
    pairs, paddings = _found(model)
    swallowed = {id(convolution) for convolution in pairs.values()}
    swallowed |= {id(padding) for padding in paddings.values()}

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if id(layer) in swallowed:
            return arguments[0]  # the folded operation takes the input of the first
        if layer.name in pairs:
            convolution = pairs[layer.name]
            zeros = paddings.get(convolution.name)
            return _Folded(convolution, layer, zeros, depthwise)(arguments[0])
        if _has_a_group_for_each_channel(layer) or (by_channel and _is_depthwise(layer)):
            return _Depthwise(layer, depthwise)(arguments[0])
        return layer(*arguments, **keywords)

    by_channel = depthwise is not ops.depthwise_conv
    return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)


def portable(model: Any) -> Any:
    """Return a model of the same function over the same weights in operations that ONNX has.

    Depthwise convolutions as such, as Keras hides grouped ones in a compiled function.
    """

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if hasattr(layer, "operations"):  # a model in the model
            return portable(layer)(*arguments, **keywords)
        if _has_a_group_for_each_channel(layer):
            return _Depthwise(layer)(arguments[0])
        return layer(*arguments, **keywords)

    return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)


def _found(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the convolution that feeds only a BatchNorm, by that one's name, and the padding that
    feeds only such a convolution, by that one's name."""
    used = Counter(id(t) for op in model.operations for t in inputs_of(op))
    used.update(id(t) for t in flat(model.outputs))
    makers = {id(t): op for op in model.operations for t in flat(op.output)}
    pairs: dict[str, Any] = {}
    paddings: dict[str, Any] = {}
    for op in model.operations:
        if isinstance(op, layers.BatchNormalization):
            maker = makers.get(id(op.input))
            if _is_plain_convolution(maker) and used[id(op.input)] == 1 and op.axis in (-1, 3):
                pairs[op.name] = maker
    for convolution in pairs.values():
        maker = makers.get(id(convolution.input))
        if used[id(convolution.input)] == 1 and _is_same_padding(maker, convolution):
            paddings[convolution.name] = maker
    return pairs, paddings


def _is_plain_convolution(layer: Any) -> bool:
    return (
        type(layer) in (layers.Conv2D, layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
        and getattr(layer, "groups", 1) == 1
    )


def _has_a_group_for_each_channel(layer: Any) -> bool:
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
    """Return whether it adds as many zeros on each side as `padding="same"` would."""
    return (
        type(layer) is layers.ZeroPadding2D
        and layer.data_format == "channels_last"
        and convolution.padding == "valid"
        and convolution.dilation_rate == (1, 1)
        and layer.padding == _same_padding(convolution, layer.input.shape[1:3])
    )


def _same_padding(convolution: Any, sides: Sequence[int | None]) -> tuple[tuple[int, int], ...]:
    found = []
    for side, kernel, stride in zip(
        sides, convolution.kernel_size, convolution.strides, strict=True
    ):
        if side is None:
            return ()
        zeros = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        found.append((zeros // 2, zeros - zeros // 2))
    return tuple(found)


class _Folded(layers.Layer):  # type: ignore[misc]
    """The convolution with BatchNorm's scale in its kernel and the rest in its bias."""

    def __init__(self, convolution: Any, norm: Any, zeros: Any, depthwise: Convolve) -> None:
        # Without autocasting, variables are read in float32: the product of kernel and scale is
        # rounded once, to what the convolution computes in.
        policy = convolution.dtype_policy
        super().__init__(name=f"{convolution.name}_folded", dtype=policy, autocast=False)
        self.convolution, self.norm, self.zeros = convolution, norm, zeros
        self.convolve = ops.conv
        if isinstance(convolution, layers.DepthwiseConv2D):
            self.convolve = depthwise

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the convolution's shape; by default Keras would trace the whole call."""
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


class _Depthwise(layers.Layer):  # type: ignore[misc]
    """A convolution of each channel by itself, by the same weights; of a separable one, also the
    mixing of the channels after it."""

    def __init__(self, convolution: Any, convolve: Convolve = ops.depthwise_conv) -> None:
        super().__init__(name=f"{convolution.name}_depthwise", dtype=convolution.dtype_policy)
        self.convolution, self.convolve = convolution, convolve

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the convolution's own."""
        return self.convolution.compute_output_spec(inputs)

    def call(self, inputs: Any) -> Any:
        layer = self.convolution
        separable = isinstance(layer, layers.SeparableConv2D)
        kernel = layer.depthwise_kernel if separable else layer.kernel
        height, width, channels, multiplier = kernel.shape
        if _has_a_group_for_each_channel(layer):
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
