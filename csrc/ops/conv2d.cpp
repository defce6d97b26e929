// Convolution of floats; dense layers are its special case.
#include <algorithm>
#include <cstring>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

// Positions that are computed at once.
constexpr size_t kRows = 32;
constexpr size_t kMaxDepth = size_t{1} << 20;

class Conv2d final : public Op {
 public:
  explicit Conv2d(const OpInput& input)
      : kernels_(input.kernels),
        input_(input.spec.input),
        geometry_(Geometry::of(input)),
        channels_(input.output().channels),
        padded_(round_up(channels_, kFloatBlock)),
        positions_(input.output().positions()),
        in_channels_(input.input().channels),
        depth_(geometry_.taps() * in_channels_),
        direct_(geometry_.patches_are_runs()),
        stage_(input) {
    input.require_floats();
    input.require(input.spec.input != input.spec.out_f32, "out_f32 is its own input");
    input.require(depth_ <= kMaxDepth, "more than 2^20 products in one sum");
    input.check_work(work());
    const std::vector<float> w = input.floats(input.spec.weights, "weights", depth_, channels_);
    input.claim(depth_ * padded_ * sizeof(float));
    weights_.resize(depth_ * padded_, 0.0f);
    for (size_t k = 0; k < depth_; ++k) {
      std::copy_n(w.data() + k * channels_, channels_, weights_.data() + k * padded_);
    }
  }

  size_t scratch_bytes() const override { return patch_floats() * 4 + kRows * padded_ * 4; }
  uint64_t work() const override { return uint64_t{positions_} * channels_ * depth_; }

  void run(const Workspace& workspace) const noexcept override {
    auto* patches = reinterpret_cast<float*>(workspace.scratch);
    float* sums = patches + patch_floats();
    const float* in = workspace.buffer<float>(input_);
    for (size_t first = 0; first < positions_; first += kRows) {
      const size_t rows = std::min(kRows, positions_ - first);
      const float* a = patches;
      size_t stride = depth_;
      if (direct_) {
        stride = geometry_.patch_step() * in_channels_;
        a = in + first * stride;
      } else {
        // Missing taps become zeros: adding the product 0 * w changes no bit of a sum that starts
        // at +0.
        for (size_t r = 0; r < rows; ++r) {
          geometry_.gather(reinterpret_cast<const uint8_t*>(in), in_channels_ * sizeof(float),
                           first + r, reinterpret_cast<uint8_t*>(patches + r * depth_));
        }
      }
      kernels_.float_matmul(a, stride, weights_.data(), sums, rows, padded_, depth_);
      for (size_t r = 0; r < rows; ++r) {
        stage_.finish_floats(workspace, first + r, sums + r * padded_);
      }
    }
  }

 private:
  size_t patch_floats() const {
    return direct_ ? 0 : align(kRows * depth_ * sizeof(float)) / sizeof(float);
  }

  const Kernels& kernels_;
  uint32_t input_;
  Geometry geometry_;
  size_t channels_, padded_, positions_, in_channels_, depth_;
  bool direct_;
  std::vector<float> weights_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_conv2d(const OpInput& input) { return std::make_unique<Conv2d>(input); }

}  // namespace bifast
