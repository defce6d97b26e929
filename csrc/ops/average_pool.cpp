// Global average pooling: the mean over all positions.
#include <algorithm>

#include "align.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

class AveragePool final : public Op {
 public:
  explicit AveragePool(const OpInput& input)
      : input_(input.spec.input),
        positions_(input.input().positions()),
        channels_(input.output().channels),
        inverse_(1.0f / static_cast<float>(positions_)),
        stage_(input) {
    const BufferSpec &in = input.input(), &out = input.output();
    input.require_floats();
    input.require(out.positions() == 1 && out.channels == in.channels,
                  "expected an output of 1 x 1 with the input's channels");
    input.require(input.spec.input != input.spec.out_f32, "out_f32 is its own input");
    input.require_no_weights();
  }

  size_t scratch_bytes() const override { return align(channels_ * sizeof(float)); }
  uint64_t work() const override { return uint64_t{positions_} * channels_; }

  void run(const Workspace& workspace) const noexcept override {
    auto* sums = reinterpret_cast<float*>(workspace.scratch);
    const float* in = workspace.buffer<float>(input_);
    std::fill_n(sums, channels_, 0.0f);
    for (size_t position = 0; position < positions_; ++position) {
      for (size_t c = 0; c < channels_; ++c) sums[c] += in[position * channels_ + c];
    }
    for (size_t c = 0; c < channels_; ++c) sums[c] *= inverse_;
    stage_.finish_floats(workspace, 0, sums);
  }

 private:
  uint32_t input_;
  size_t positions_, channels_;
  float inverse_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_average_pool(const OpInput& input) {
  return std::make_unique<AveragePool>(input);
}

}  // namespace bifast
