// What the kinds of layers share when they are built.
#include "ops/op.h"

#include <array>
#include <cstring>

#include "error.h"
#include "ops/geometry.h"

namespace bifast {
namespace {

// IEEE half to single, exact.
float widen(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  uint32_t exponent = (half >> 10) & 0x1Fu, mantissa = half & 0x3FFu;
  uint32_t bits = sign;
  if (exponent != 0) {
    bits |= ((exponent + 112) << 23) | (mantissa << 13);
  } else if (mantissa != 0) {  // subnormal: shift the leading one up to bit 10
    exponent = 113;
    while ((mantissa & 0x400u) == 0) {
      mantissa <<= 1;
      --exponent;
    }
    bits |= (exponent << 23) | ((mantissa & 0x3FFu) << 13);
  }
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

}  // namespace

const BufferSpec& OpInput::output() const {
  require(spec.out_f32 != kNone || spec.out_bits != kNone, "writes nothing");
  return file.buffers[spec.out_f32 != kNone ? spec.out_f32 : spec.out_bits];
}

void OpInput::refuse(const std::string& why) const { fail_format(spec.name + ": " + why); }

void OpInput::require_floats() const {
  require(input().is_floats(), "expected floats as input");
  require(spec.flip == kNone, "integer thresholds are for binary layers");
}

void OpInput::require_no_weights() const {
  require_no_tensor_of_weights();
  constexpr std::array<uint32_t, 2> kZero{};
  require(
      spec.kernel == kZero && spec.stride == kZero && spec.pad == kZero && spec.dilation == kZero,
      "kernel, stride, pad, dilation: expected 0");
}

const TensorSpec& OpInput::tensor(uint32_t id, const char* role, size_t rows, size_t cols) const {
  if (id == kNone) refuse(std::string("has no ") + role);
  const TensorSpec& t = file.tensors[id];
  if (t.rows != rows || t.cols != cols) {
    refuse(std::string(role) + ": expected " + std::to_string(rows) + " x " + std::to_string(cols) +
           ", got " + std::to_string(t.rows) + " x " + std::to_string(t.cols));
  }
  return t;
}

std::vector<float> OpInput::floats(uint32_t id, const char* role, size_t rows, size_t cols) const {
  const TensorSpec& t = tensor(id, role, rows, cols);
  claim(rows * cols * sizeof(float));
  std::vector<float> values(rows * cols);
  for (size_t i = 0; i < values.size(); ++i) {
    switch (t.dtype) {
      case Dtype::f32:
        values[i] = load<float>(t.data + 4 * i);
        break;
      case Dtype::f16:
        values[i] = widen(load<uint16_t>(t.data + 2 * i));
        break;
      case Dtype::i8:
        values[i] = static_cast<float>(load<int8_t>(t.data + i));
        break;
      default:
        refuse(std::string(role) + ": expected floats");
    }
  }
  return values;
}

std::vector<int32_t> OpInput::integers(uint32_t id, const char* role, size_t rows,
                                       size_t cols) const {
  const TensorSpec& t = tensor(id, role, rows, cols);
  if (t.dtype != Dtype::i16 && t.dtype != Dtype::i32)
    refuse(std::string(role) + ": expected integers");
  std::vector<int32_t> values(rows * cols);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] =
        t.dtype == Dtype::i32 ? load<int32_t>(t.data + 4 * i) : load<int16_t>(t.data + 2 * i);
  }
  return values;
}

const TensorSpec& OpInput::bits(uint32_t id, const char* role, size_t rows, size_t cols) const {
  const TensorSpec& t = tensor(id, role, rows, cols);
  if (t.dtype != Dtype::bits) refuse(std::string(role) + ": expected bits");
  return t;
}

size_t RowOp::n_rows() const { return rows().out; }

std::unique_ptr<Op> make_op(const OpInput& input) {
  input.require(input.spec.fill == 0 || input.input().is_bytes,
                "fill: expected 0 where no bytes are read");
  switch (input.spec.code) {
#define BIFAST_OP(code, name) \
  case code:                  \
    return make_##name(input);
#include "ops/ops.inc"
#undef BIFAST_OP
    default:
      throw Error(BIFAST_UNSUPPORTED, input.spec.name + ": operation code " +
                                          std::to_string(input.spec.code) +
                                          " is unknown to this bifast; update bifast");
  }
}

}  // namespace bifast
