// Max pooling: the largest value of each channel under a window.
#include <cstring>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

class MaxPool final : public Op {
 public:
  explicit MaxPool(const OpInput& input)
      : input_(input.spec.input),
        geometry_(Geometry::of(input)),
        positions_(input.output().positions()),
        channels_(input.output().channels),
        stage_(input) {
    input.require_floats();
    input.require_no_tensor_of_weights();
    input.require(channels_ == input.input().channels, "expected the input's channels");
    input.require(input.spec.input != input.spec.out_f32, "out_f32 is its own input");
    input.check_work(work());
    for (const Axis* axis : {&geometry_.y, &geometry_.x}) {
      for (const Axis::Taps& taps : axis->classes) {
        input.require(taps.first < taps.last, "a window lies outside the input");
      }
    }
  }

  size_t scratch_bytes() const override { return align(channels_ * sizeof(float)); }
  uint64_t work() const override { return uint64_t{positions_} * geometry_.taps() * channels_; }

  void run(const Workspace& workspace) const noexcept override {
    auto* largest = reinterpret_cast<float*>(workspace.scratch);
    const float* in = workspace.buffer<float>(input_);
    for (size_t out = 0; out < positions_; ++out) {
      bool first = true;
      geometry_.for_taps(out, [&](size_t position) {
        const float* x = in + position * channels_;
        if (first) {
          std::memcpy(largest, x, channels_ * sizeof(float));
          first = false;
          return;
        }
        for (size_t c = 0; c < channels_; ++c) largest[c] = x[c] > largest[c] ? x[c] : largest[c];
      });
      stage_.finish_floats(workspace, out, largest);
    }
  }

 private:
  uint32_t input_;
  Geometry geometry_;
  size_t positions_, channels_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_max_pool(const OpInput& input) { return std::make_unique<MaxPool>(input); }

}  // namespace bifast
