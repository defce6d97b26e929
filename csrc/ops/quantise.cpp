// Floats to bytes: what a convolution of bytes reads.
#include <bit>

#include "align.h"
#include "ops/geometry.h"
#include "ops/op.h"

namespace bifast {
namespace {

class Quantise final : public RowOp {
 public:
  explicit Quantise(const OpInput& input)
      : kernels_(input.kernels),
        input_(input.spec.input),
        output_(input.spec.out_f32),
        rows_(input.input().height, input.input().height, 1, 1, 0, 1),
        row_values_(size_t{input.input().width} * input.input().channels) {
    const OpSpec& s = input.spec;
    input.require_floats();
    input.require_no_weights();
    input.require(output_ != kNone && input.file.buffers[output_].is_bytes,
                  "out_f32: expected a buffer of bytes");
    input.require(input.input().same_shape(input.output()), "input and output differ in shape");
    input.require(
        s.out_bits == kNone && s.residual == kNone && s.slope == kNone && s.threshold == kNone,
        "has scale and shift alone");
    input.require(std::bit_cast<uint32_t>(s.plane_scale) == 0, "plane_scale: expected 0");
    scale_ = input.floats(s.scale, "scale", 1, 1)[0];
    shift_ = input.floats(s.shift, "shift", 1, 1)[0];
  }

  uint64_t work() const override { return uint64_t{rows_.out} * row_values_; }
  const Axis& rows() const override { return rows_; }

  void run_rows(const Workspace& workspace, size_t first, size_t last) const noexcept override {
    kernels_.quantise(workspace.buffer<float>(input_) + first * row_values_,
                      (last - first) * row_values_, scale_, shift_,
                      workspace.buffer<uint8_t>(output_) + first * row_values_);
  }

 private:
  const Kernels& kernels_;
  uint32_t input_, output_;
  Axis rows_;
  size_t row_values_;
  float scale_, shift_;
};

}  // namespace

std::unique_ptr<Op> make_quantise(const OpInput& input) {
  return std::make_unique<Quantise>(input);
}

}  // namespace bifast
