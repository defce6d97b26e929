// Every n-th position, with channels of zeros on both sides: the shortcut without parameters of
// residual nets (option A).
#include <algorithm>

#include "align.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

class Subsample final : public Op {
 public:
  explicit Subsample(const OpInput& input)
      : input_(input.spec.input),
        height_(input.output().height),
        width_(input.output().width),
        channels_(input.output().channels),
        in_width_(input.input().width),
        in_channels_(input.input().channels),
        stride_(input.spec.stride),
        stage_(input) {
    constexpr std::array<uint32_t, 2> kZero{};
    const OpSpec& s = input.spec;
    input.require_floats();
    input.require_no_tensor_of_weights();
    input.require(s.input != s.out_f32, "out_f32 is its own input");
    input.require(s.kernel == kZero && s.pad == kZero && s.dilation == kZero,
                  "kernel, pad, dilation: expected 0");
    for (size_t axis = 0; axis < 2; ++axis) {
      input.require(stride_[axis] >= 1 && stride_[axis] <= 65535, "expected stride 1 .. 65535");
    }
    input.require(
        (height_ - 1) * stride_[0] < input.input().height && (width_ - 1) * stride_[1] < in_width_,
        "reads positions outside the input");
    input.require(channels_ >= in_channels_, "expected at least the input's channels");
  }

  size_t scratch_bytes() const override { return align(channels_ * sizeof(float)); }
  uint64_t work() const override { return uint64_t{height_} * width_ * channels_; }

  void run(const Workspace& workspace) const noexcept override {
    auto* row = reinterpret_cast<float*>(workspace.scratch);
    const float* in = workspace.buffer<float>(input_);
    const size_t before = (channels_ - in_channels_) / 2;
    for (size_t y = 0; y < height_; ++y) {
      for (size_t x = 0; x < width_; ++x) {
        const float* from = in + (y * stride_[0] * in_width_ + x * stride_[1]) * in_channels_;
        std::fill_n(row, channels_, 0.0f);
        std::copy_n(from, in_channels_, row + before);
        stage_.finish_floats(workspace, y * width_ + x, row);
      }
    }
  }

 private:
  uint32_t input_;
  size_t height_, width_, channels_, in_width_, in_channels_;
  std::array<uint32_t, 2> stride_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_subsample(const OpInput& input) {
  return std::make_unique<Subsample>(input);
}

}  // namespace bifast
