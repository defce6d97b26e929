"""ResNet-18 for images of 224 x 224 with random weights: 1-bit in a `.bifast` file, FP32 in ONNX.

The 1-bit net is Bi-Real's (Liu et al. 2018): a shortcut around every binary 3 x 3 convolution, average
pooling and a real 1 x 1 convolution where its shape changes, first and last layer real. The FP32 net is the
usual one (He et al. 2016): batch norms folded, ReLU, a shortcut around every two convolutions, 1 x 1
convolutions of stride 2. Both have the same convolutions, so the same multiply-adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bifast.format import Buffer, ModelFile, Op, Tensor

Array = np.ndarray[Any, np.dtype[Any]]
SIZE, CLASSES = 224, 1000
STAGES = (64, 128, 256, 512)
OPSET = 17


@dataclass(frozen=True)
class Conv:
    """One convolution: square kernel and input, padded so that stride 1 keeps the size."""

    name: str
    size: int
    c_in: int
    c_out: int
    kernel: int
    stride: int

    @property
    def out(self) -> int:
        """Height and width of the output."""
        return self.size // self.stride

    @property
    def title(self) -> str:
        """Shapes of input and output."""
        given, made = (self.size, self.size, self.c_in), (self.out, self.out, self.c_out)
        return " -> ".join("x".join(map(str, shape)) for shape in (given, made))

    @property
    def multiply_adds(self) -> int:
        """Of one image, missing taps counted."""
        return self.out**2 * self.c_out * self.c_in * self.kernel**2


def binary_convs() -> list[Conv]:
    """Return the sixteen 3 x 3 convolutions in order."""
    convs, size, c_in = [], SIZE // 4, STAGES[0]
    for stage, channels in enumerate(STAGES):
        for i in range(4):
            stride = 2 if stage > 0 and i == 0 else 1
            convs.append(Conv(f"stage{stage + 1}.conv{i + 1}", size, c_in, channels, 3, stride))
            size, c_in = size // stride, channels
    return convs


def kinds() -> list[tuple[Conv, int]]:
    """Return one convolution of each kind that writes signs, and how many of the kind there are."""
    found: dict[str, list[Conv]] = {}
    for conv in binary_convs():
        found.setdefault(conv.title, []).append(conv)
    return [(convs[0], len(convs)) for convs in found.values()]


STEM = Conv("stem", SIZE, 3, STAGES[0], 7, 2)


class BinaryNet:
    """Collects the operations of the 1-bit net."""

    def __init__(self, seed: int, *, real: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.is_real = real
        self.buffers = [Buffer("f32" if real else "u8", SIZE, SIZE, 3)]
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def buffer(self, kind: str, size: int, channels: int) -> int:
        """Add a square activation."""
        self.buffers.append(Buffer(kind, size, size, channels))
        return len(self.buffers) - 1

    def tensor(self, dtype: str, array: Array) -> int:
        """Add a tensor."""
        self.tensors.append(Tensor(dtype, array))
        return len(self.tensors) - 1

    def affine(self, channels: int, spread: float) -> dict[str, int]:
        """Add a batch norm of sums of about `spread`."""
        scale = self.rng.uniform(0.5, 1.5, (1, channels)) / spread
        shift = self.rng.normal(0, 0.3, (1, channels))
        return {"scale": self.tensor("f32", scale), "shift": self.tensor("f32", shift)}

    def real(self, conv: Conv, source: int) -> int:
        """Add a convolution of floats with weights in f16, or of bytes; return its buffer."""
        k = conv.kernel**2 * conv.c_in
        if self.is_real:
            code, weights = "conv2d", self.rng.normal(0, 1, (k, conv.c_out))
            affine = self.affine(conv.c_out, k**0.5)
        else:
            code, weights = "byte_conv2d", self.rng.integers(-127, 128, (k, conv.c_out))
            image = self.buffers[source].type == "u8"
            affine = self.affine(conv.c_out, 73.0 * (150.0 if image else 16.0) * k**0.5)
            if not image:
                source = self.quantise(conv, source, affine, weights)
        target = self.buffer("f32", conv.out, conv.c_out)
        self.ops.append(
            Op(
                conv.name, code, 1, source, out_f32=target,
                kernel=(conv.kernel,) * 2, stride=(conv.stride,) * 2, pad=(conv.kernel // 2,) * 2,
                dilation=(1, 1), weights=self.tensor("f16" if self.is_real else "i8", weights),
                **affine,
            )
        )  # fmt: skip
        return target

    def quantise(self, conv: Conv, source: int, affine: dict[str, int], weights: Array) -> int:
        """Add bytes 16 x + 128 of a buffer, whose 128 goes into the convolution's shift."""
        bytes_of = self.buffer("u8", self.buffers[source].height, conv.c_in)
        scale, shift = (self.tensor("f32", np.full((1, 1), value)) for value in (16.0, 128.0))
        self.ops.append(
            Op(f"{conv.name}.bytes", "quantise", 1, source, out_f32=bytes_of,
               scale=scale, shift=shift)
        )  # fmt: skip
        shifts = self.tensors[affine["shift"]].array
        zero = 128.0 * weights.sum(0, keepdims=True) * self.tensors[affine["scale"]].array
        self.tensors[affine["shift"]] = Tensor("f32", (shifts - zero).astype(np.float32))
        return bytes_of

    def shortcut(self, conv: Conv, source: int) -> int:
        """Add average pooling and a real 1 x 1 convolution; return the buffer."""
        pooled = self.buffer("f32", conv.out, conv.c_in)
        window: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2), "dilation": (1, 1)}
        self.ops.append(
            Op(f"{conv.name}.pool", "average_pool", 1, source, out_f32=pooled, **window)
        )
        point = Conv(f"{conv.name}.shortcut", conv.out, conv.c_in, conv.c_out, 1, 1)
        return self.real(point, pooled)

    def binary(self, conv: Conv, bits: int, values: int, *, last: bool) -> tuple[int, int]:
        """Add a binary convolution and its shortcut; return the buffers of signs and values."""
        k = 9 * conv.c_in
        residual = values if conv.c_in == conv.c_out else self.shortcut(conv, values)
        out_f32 = self.buffer("f32", conv.out, conv.c_out)
        out_bits = None if last else self.buffer("bits", conv.out, conv.c_out)
        weights = self.tensor("bits", self.rng.integers(0, 2, (conv.c_out, k)))
        self.ops.append(
            Op(
                conv.name, "binary_conv2d", 1, bits, residual=residual, out_f32=out_f32,
                out_bits=out_bits, kernel=(3, 3), stride=(conv.stride,) * 2, pad=(1, 1),
                dilation=(1, 1), weights=weights, **self.affine(conv.c_out, k**0.5),
            )
        )  # fmt: skip
        return out_bits or 0, out_f32

    def model(self) -> ModelFile:
        """Add all layers."""
        image = self.real(STEM, 0)
        values = self.buffer("f32", STEM.out // 2, STEM.c_out)
        bits = self.buffer("bits", STEM.out // 2, STEM.c_out)
        self.ops.append(
            Op("pool", "max_pool", 1, image, out_f32=values, out_bits=bits,
               kernel=(3, 3), stride=(2, 2), pad=(1, 1), dilation=(1, 1))
        )  # fmt: skip
        convs = binary_convs()
        for conv in convs:
            bits, values = self.binary(conv, bits, values, last=conv is convs[-1])
        pooled = self.buffer("f32", 1, STAGES[-1])
        self.ops.append(Op("mean", "average_pool", 1, values, out_f32=pooled))
        self.real(Conv("classifier", 1, STAGES[-1], CLASSES, 1, 1), pooled)
        labels = [f"class{i}" for i in range(CLASSES)]
        card = {"name": "resnet18-random", "licence": "none: random weights", "seed": 0}
        return ModelFile(None, labels, ["full"], self.buffers, self.tensors, self.ops, card)


def binary_resnet18(seed: int = 0, *, real: bool = False) -> ModelFile:
    """Return the 1-bit net; `real`: float images and float16 weights of the layers that are not binary.

    Else those layers are of bytes, inputs and weights: the image, and the stream as 16 x + 128.
    """
    return BinaryNet(seed, real=real).model()


class FloatNet:
    """Collects the nodes of the FP32 net; values are [1, channels, height, width]."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, *shape: int) -> str:
        """Add random parameters, scaled as He et al. 2015."""
        fan_in = max(1, int(np.prod(shape[1:])))
        values = self.rng.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, conv: Conv, source: str) -> str:
        """Add a convolution with the bias that a batch norm leaves."""
        weights = self.constant(conv.c_out, conv.c_in, conv.kernel, conv.kernel)
        return self.add(
            "Conv", source, weights, self.constant(conv.c_out), kernel_shape=[conv.kernel] * 2,
            strides=[conv.stride] * 2, pads=[conv.kernel // 2] * 4,
        )  # fmt: skip

    def graph(self, shape: list[int], outputs: list[Any]) -> bytes:
        """Finish: the last node writes `logits`."""
        self.nodes[-1].output[0] = "logits"
        proto = helper.make_model(
            helper.make_graph(
                self.nodes, "resnet18",
                [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
                [helper.make_tensor_value_info("logits", TensorProto.FLOAT, outputs)],
                self.constants,
            ),
            opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8,
        )  # fmt: skip
        onnx.checker.check_model(proto)
        data: bytes = proto.SerializeToString()
        return data


def float_resnet18(seed: int = 0) -> bytes:
    """Return the FP32 net: `image` [1, 3, 224, 224] to `logits` [1, 1000]."""
    net = FloatNet(seed)
    x = net.add("Relu", net.conv(STEM, "image"))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    convs = binary_convs()
    for first, second in zip(convs[::2], convs[1::2], strict=True):
        residual = x
        if first.c_in != first.c_out:
            point = Conv("shortcut", first.size, first.c_in, first.c_out, 1, first.stride)
            residual = net.conv(point, x)
        x = net.add("Relu", net.conv(first, x))
        x = net.add("Relu", net.add("Add", net.conv(second, x), residual))
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    net.add("Gemm", x, net.constant(CLASSES, STAGES[-1]), net.constant(CLASSES), transB=1)
    return net.graph([1, 3, SIZE, SIZE], [1, CLASSES])


def float_chain(convs: list[Conv], seed: int = 0) -> bytes:
    """Return convolutions one after the other in FP32, a ReLU behind each."""
    net, value = FloatNet(seed), "image"
    for conv in convs:
        value = net.add("Relu", net.conv(conv, value))
    first, last = convs[0], convs[-1]
    return net.graph([1, first.c_in, first.size, first.size], [1, last.c_out, last.out, last.out])


def float_pair(conv: Conv) -> tuple[bytes, bytes]:
    """Return chains of which the second has one more convolution, that one.

    Alone it would be charged with bringing images into onnxruntime's order and back.
    """
    before = Conv("before", conv.size, conv.c_in, conv.c_in, 3, 1)
    return float_chain([before]), float_chain([before, conv])


def float_bytes(graph: bytes) -> int:
    """Return the bytes of all parameters of an ONNX graph."""
    constants = onnx.load_model_from_string(graph).graph.initializer
    return sum(numpy_helper.to_array(constant).nbytes for constant in constants)


def multiply_adds() -> int:
    """Return those of the whole net, the shortcuts' and the last layer's too."""
    convs = binary_convs()
    points = sum(conv.out**2 * conv.c_in * conv.c_out for conv in convs if conv.c_in != conv.c_out)
    return sum(c.multiply_adds for c in [STEM, *convs]) + points + STAGES[-1] * CLASSES
