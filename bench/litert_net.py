"""An ONNX graph in LiteRT (ai-edge-litert, XNNPACK), float or int8, one thread.

The usual converters need TensorFlow or JAX; the few operators of our float nets are written into a
LiteRT file here, with Relu fused into convolutions as those converters do.
"""

from __future__ import annotations

import warnings
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from onnx import numpy_helper
from plain_graph import without_norms

Array = np.ndarray[Any, np.dtype[Any]]
# Outputs whose names begin so stay FP32 in int8 nets: what comes before the first convolution works on
# decibels that are not yet normal, and norms of their own would be spoilt (as in quantise.py).
EXACT = "exact/"
RELU = schema.ActivationFunctionType.RELU


def same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after that LiteRT calls SAME."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


class Writer:
    """Collects tensors and operators; activations are [1, time, mel, channels]."""

    def __init__(self, graph: bytes) -> None:
        inferred = without_norms(graph).graph
        self.nodes = list(inferred.node)
        self.constants = {c.name: numpy_helper.to_array(c) for c in inferred.initializer}
        facts = [*inferred.value_info, *inferred.input, *inferred.output]
        dims = {f.name: [d.dim_value for d in f.type.tensor_type.shape.dim] for f in facts}
        self.shapes = {
            name: [d[0], d[2], d[3], d[1]] if len(d) == 4 else d for name, d in dims.items()
        }
        self.buffers = [schema.BufferT()]
        self.tensors: list[schema.TensorT] = []
        self.operators: list[schema.OperatorT] = []
        self.codes: list[int] = []
        self.values = {"features": self.tensor("features", self.shapes["features"])}

    def tensor(self, name: str, shape: Any, data: Array | None = None) -> int:
        """Add a tensor; returns its number."""
        made = schema.TensorT()
        made.name, made.shape = name, [int(n) for n in shape]
        made.type = schema.TensorType.FLOAT32
        if data is not None:
            if data.dtype == np.int32:
                made.type = schema.TensorType.INT32
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            made.buffer = len(self.buffers) - 1
        self.tensors.append(made)
        return len(self.tensors) - 1

    def constant(self, data: Array) -> int:
        return self.tensor(f"c{len(self.tensors)}", data.shape, data)

    def add(self, kind: str, inputs: list[int], output: int, options: Any = None) -> None:
        """Add an operator."""
        code = getattr(schema.BuiltinOperator, kind)
        if code not in self.codes:
            self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self.codes.index(code), inputs, [output]
        if options is not None:
            made.builtinOptions = options
            options_kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options_kind)
        self.operators.append(made)

    def convolution(self, node: onnx.NodeProto, relu: bool, output: int) -> None:
        """Add a convolution, behind a padding of its own where SAME and VALID are not meant."""
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        pads, strides, dilations = given["pads"], given["strides"], given["dilations"]
        x, shape = self.values[node.input[0]], self.shapes[node.input[0]]
        weights = self.constants[node.input[1]]
        none = np.zeros(len(weights), np.float32)
        bias = self.constants[node.input[2]] if len(node.input) > 2 else none
        kernel = [(n - 1) * d + 1 for n, d in zip(given["kernel_shape"], dilations, strict=True)]
        wanted = [(pads[0], pads[2]), (pads[1], pads[3])]
        same = [same_pads(shape[1 + i], kernel[i], strides[i]) for i in (0, 1)]
        padding = schema.Padding.SAME
        if wanted != same:
            padding = schema.Padding.VALID
            if any(pads):
                edges = np.array([(0, 0), *wanted, (0, 0)], np.int32)
                larger = [1, shape[1] + sum(wanted[0]), shape[2] + sum(wanted[1]), shape[3]]
                padded = self.tensor(f"pad{len(self.tensors)}", larger)
                self.add("PAD", [x, self.constant(edges)], padded, schema.PadOptionsT())
                x = padded
        depthwise = given["group"] > 1
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.padding = padding
        options.strideH, options.strideW = strides
        options.dilationHFactor, options.dilationWFactor = dilations
        if relu:
            options.fusedActivationFunction = RELU
        if depthwise:
            options.depthMultiplier = len(weights) // shape[3]
            inputs = [x, self.constant(weights.transpose(1, 2, 3, 0)), self.constant(bias)]
            self.add("DEPTHWISE_CONV_2D", inputs, output, options)
        else:
            inputs = [x, self.constant(weights.transpose(0, 2, 3, 1)), self.constant(bias)]
            self.add("CONV_2D", inputs, output, options)

    def write(self) -> bytes:
        """Return the LiteRT file."""
        skip: set[str] = set()
        convolved = False
        for node in self.nodes:
            name = node.output[0]
            if name in skip:
                continue
            users = [n for n in self.nodes if name in n.input]
            relu = node.op_type == "Conv" and [n.op_type for n in users] == ["Relu"]
            if relu:
                name = users[0].output[0]
                skip.add(name)
            if node.op_type == "Transpose" and len(self.shapes[name]) == 4:
                self.values[name] = self.values[node.input[0]]  # to NCHW: here channels stay last
                continue
            if node.op_type == "Reshape":  # of the input, to [1, time, mel, channels]
                self.shapes[name] = self.shapes[users[0].output[0]]
            exact = node.op_type in ("Add", "Mul") and node.input[1] in self.constants
            prefix = EXACT if exact or not convolved else ""
            output = self.values[name] = self.tensor(prefix + name, self.shapes[name])
            convolved = convolved or node.op_type == "Conv"
            if node.op_type == "Conv":
                self.convolution(node, relu, output)
            else:
                self.simple(node, output)
        return self.file()

    def simple(self, node: onnx.NodeProto, output: int) -> None:
        """Add an operator that has the same meaning here."""
        shape = np.array(self.shapes[node.output[0]], np.int32)
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = []
        for name in node.input:
            if name not in self.values and node.op_type in ("Add", "Mul", "PRelu"):
                array = self.constants[name]  # [channels, 1 or height, 1], or of rank 2 as it is
                self.values[name] = self.constant(
                    array if array.ndim < 3 else array.transpose(1, 2, 0)
                )
            inputs.append(self.values.get(name, -1))
        match node.op_type:
            case "Reshape" | "Flatten" | "Unsqueeze":
                self.add("RESHAPE", [inputs[0], self.constant(shape)], output)
            case "GlobalAveragePool" | "ReduceMean":
                options = schema.ReducerOptionsT()
                options.keepDims = True
                axes = [{2: 1, 3: 2}[a] for a in given.get("axes", (2, 3))]
                numbers = self.constant(np.array(axes, np.int32))
                self.add("MEAN", [inputs[0], numbers], output, options)
            case "Transpose":
                order = self.constant(np.array(given["perm"], np.int32))
                self.add("TRANSPOSE", [inputs[0], order], output, schema.TransposeOptionsT())
            case "MatMul" | "Gemm":
                options = schema.FullyConnectedOptionsT()
                options.keepNumDims = node.op_type == "MatMul"
                weights = self.constants[node.input[1]]  # [out, in] in Gemm, [in, out] in MatMul
                rows = self.constant(weights if node.op_type == "Gemm" else weights.T)
                bias = [self.constant(self.constants[name]) for name in node.input[2:]]
                self.add("FULLY_CONNECTED", [inputs[0], rows, *(bias or [-1])], output, options)
            case "Sigmoid":
                self.add("LOGISTIC", inputs, output)
            case "Concat":
                options = schema.ConcatenationOptionsT()
                options.axis = 3
                self.add("CONCATENATION", inputs, output, options)
            case "Add":
                self.add("ADD", inputs, output, schema.AddOptionsT())
            case "Mul":
                self.add("MUL", inputs, output, schema.MulOptionsT())
            case "PRelu" | "Relu":
                self.add(node.op_type.upper(), inputs, output)
            case kind:
                raise ValueError(f"no LiteRT operator for {kind}")

    def file(self) -> bytes:
        """Wrap up what was collected."""
        graph, model, signature = schema.SubGraphT(), schema.ModelT(), schema.SignatureDefT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [self.values["features"]], [self.values["logits"]]
        signature.signatureKey = "serving_default"
        signature.inputs, signature.outputs = [], []
        for name, numbers, entries in (
            ("features", graph.inputs, signature.inputs),
            ("logits", graph.outputs, signature.outputs),
        ):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, numbers[0]
            entries.append(entry)
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.signatureDefs, model.operatorCodes = [signature], []
        for code in self.codes:
            made = schema.OperatorCodeT()
            made.builtinCode, made.version = code, 1
            made.deprecatedBuiltinCode = min(code, 127)
            model.operatorCodes.append(made)
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def in_int8(model: bytes, features: Array) -> bytes:
    """Quantise with AI Edge Quantizer's static recipe, ranges from features [N, time, mel]."""
    from ai_edge_quantizer import quantizer, recipe

    clips = {"serving_default": [{"features": clip[None]} for clip in features]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of memory, and of its own old interfaces
        settings = recipe.static_wi8_ai8()
        for setting in settings:
            # The input too, or its bytes would have to be written: callers have decibels.
            setting["regex"] = f"^(?!{EXACT}|features).*"
        made = quantizer.Quantizer(model, settings)
        return bytes(made.quantize(made.calibrate(clips)).quantized_model)


class LiteRtNet:
    """Called as the other peers' nets are; buffers are LiteRT's own."""

    def __init__(self, model: bytes) -> None:
        self.interpreter = Interpreter(model_content=model, num_threads=1)
        self.interpreter.allocate_tensors()
        (given,), (made,) = (
            self.interpreter.get_input_details(),
            self.interpreter.get_output_details(),
        )
        self.input = self.interpreter.tensor(given["index"])
        self.logits = self.interpreter.tensor(made["index"])

    def __call__(self, features: Array) -> Array:
        """[time, mel] -> [classes]."""
        self.input()[0] = features
        self.interpreter.invoke()
        logits: Array = self.logits()[0]
        return logits
