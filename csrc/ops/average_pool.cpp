// Average pooling: the mean over all positions, or over a window that moves over them.
#include <algorithm>
#include <optional>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

class AveragePool final : public Op {
 public:
  explicit AveragePool(const OpInput& input)
      : input_(input.spec.input),
        in_positions_(input.input().positions()),
        positions_(input.output().positions()),
        channels_(input.output().channels),
        stage_(input) {
    const OpSpec& s = input.spec;
    input.require_floats();
    input.require(channels_ == input.input().channels, "expected the input's channels");
    input.require(s.input != s.out_f32, "out_f32 is its own input");
    if (s.kernel == std::array<uint32_t, 2>{}) {
      input.require(positions_ == 1, "expected an output of 1 x 1 without a kernel");
      input.require_no_weights();
    } else {
      input.require_no_tensor_of_weights();
      window_.emplace(Geometry::of(input));
      input.check_work(work());
    }
    inverse_ = 1.0f / static_cast<float>(taps());
  }

  size_t scratch_bytes() const override { return align(channels_ * sizeof(float)); }
  uint64_t work() const override { return uint64_t{positions_} * taps() * channels_; }

  void run(const Workspace& workspace) const noexcept override {
    auto* sums = reinterpret_cast<float*>(workspace.scratch);
    const float* in = workspace.buffer<float>(input_);
    const auto add = [&](size_t position) {
      for (size_t c = 0; c < channels_; ++c) sums[c] += in[position * channels_ + c];
    };
    for (size_t out = 0; out < positions_; ++out) {
      std::fill_n(sums, channels_, 0.0f);
      if (window_) {
        window_->for_taps(out, add);
      } else {
        for (size_t position = 0; position < in_positions_; ++position) add(position);
      }
      for (size_t c = 0; c < channels_; ++c) sums[c] *= inverse_;
      stage_.finish_floats(workspace, out, sums);
    }
  }

 private:
  // Missing ones count too.
  size_t taps() const { return window_ ? window_->taps() : in_positions_; }

  uint32_t input_;
  size_t in_positions_, positions_, channels_;
  std::optional<Geometry> window_;  // none: all positions
  float inverse_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_average_pool(const OpInput& input) {
  return std::make_unique<AveragePool>(input);
}

}  // namespace bifast
