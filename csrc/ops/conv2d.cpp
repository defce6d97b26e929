// Convolution of floats; dense layers are its special case.
#include <algorithm>
#include <cstring>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

// Positions that are computed at once, all of one row of the output where patches overlap.
constexpr size_t kRows = 32;
constexpr size_t kMaxDepth = size_t{1} << 20;

class Conv2d final : public RowOp {
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
        placement_(placement()),
        stage_(input) {
    input.require_floats();
    input.require(input.spec.input != input.spec.out_f32, "out_f32 is its own input");
    input.require(depth_ <= kMaxDepth, "more than 2^20 products in one sum");
    input.check_work(work());
    const std::vector<float> w = input.floats(input.spec.weights, "weights", depth_, channels_);
    input.claim(depth_ * (padded_ + 1) * sizeof(float));
    weights_.resize(depth_ * padded_, 0.0f);
    for (size_t k = 0; k < depth_; ++k) {
      std::copy_n(w.data() + k * channels_, channels_, weights_.data() + k * padded_);
      const size_t line = k / line_depth(), in_line = k % line_depth();
      offsets_.push_back(static_cast<uint32_t>(line * line_floats() + in_line));
    }
  }

  size_t scratch_bytes() const override { return patch_bytes() + kRows * padded_ * sizeof(float); }
  uint64_t work() const override { return uint64_t{positions_} * channels_ * depth_; }

  const Axis& rows() const override { return geometry_.y; }

  void run_rows(const Workspace& workspace, size_t first_row,
                size_t last_row) const noexcept override {
    float* sums = reinterpret_cast<float*>(workspace.scratch + patch_bytes());
    const float* in = workspace.buffer<float>(input_);
    const size_t begin = first_row * geometry_.x.out, end = last_row * geometry_.x.out;
    const size_t run = placement_ == Placement::lines ? geometry_.x.out : end - begin;
    for (size_t start = begin; start < end; start += run) {
      for (size_t first = start; first < start + run; first += kRows) {
        const size_t rows = std::min(kRows, start + run - first);
        const float* a = place(in, first, rows, reinterpret_cast<float*>(workspace.scratch));
        kernels_.float_matmul(a, patch_step(), offsets_.data(), weights_.data(), sums, rows,
                              padded_, depth_);
        for (size_t r = 0; r < rows; ++r) {
          stage_.finish_floats(workspace, first + r, sums + r * padded_);
        }
      }
    }
  }

 private:
  // Where the kernel finds the patches: in the input, in copies of the lines that they share, or
  // each copied by itself.
  enum class Placement { input, lines, patches };

  Placement placement() const {
    if (geometry_.patches_are_runs()) return Placement::input;
    // Then lines are no longer than the patches together.
    const bool overlap = geometry_.x.dilation == 1 && geometry_.x.stride <= geometry_.x.kernel;
    return overlap ? Placement::lines : Placement::patches;
  }
  size_t line_depth() const { return geometry_.x.kernel * in_channels_; }
  // Floats from one tap's line to the next.
  size_t line_floats() const {
    if (placement_ != Placement::lines) return line_depth();
    const size_t outputs = std::min(kRows, geometry_.x.out);
    return ((outputs - 1) * geometry_.x.stride + geometry_.x.kernel) * in_channels_;
  }
  size_t patch_step() const {
    switch (placement_) {
      case Placement::input:
        return geometry_.patch_step() * in_channels_;
      case Placement::lines:
        return geometry_.x.stride * in_channels_;
      default:
        return depth_;
    }
  }
  size_t patch_bytes() const {
    const size_t floats = placement_ == Placement::lines     ? geometry_.y.kernel * line_floats()
                          : placement_ == Placement::patches ? kRows * depth_
                                                             : 0;
    return align(floats * sizeof(float));
  }

  // Missing taps become zeros: adding the product 0 * w changes no bit of a sum that starts at +0.
  const float* place(const float* in, size_t first, size_t rows, float* patches) const noexcept {
    if (placement_ == Placement::input) return in + first * patch_step();
    const auto* bytes = reinterpret_cast<const uint8_t*>(in);
    const size_t position_bytes = in_channels_ * sizeof(float);
    if (placement_ == Placement::lines) {
      geometry_.gather_lines(bytes, position_bytes, first, rows, line_floats() * sizeof(float),
                             reinterpret_cast<uint8_t*>(patches));
    } else {
      for (size_t r = 0; r < rows; ++r) {
        geometry_.gather(bytes, position_bytes, first + r,
                         reinterpret_cast<uint8_t*>(patches + r * depth_));
      }
    }
    return patches;
  }

  const Kernels& kernels_;
  uint32_t input_;
  Geometry geometry_;
  size_t channels_, padded_, positions_, in_channels_, depth_;
  Placement placement_;
  std::vector<float> weights_;
  std::vector<uint32_t> offsets_;  // of a patch's elements from its start
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_conv2d(const OpInput& input) { return std::make_unique<Conv2d>(input); }

}  // namespace bifast
