// The output stage alone: batch-norm, PReLU, residual add, sign.
#include <cstring>

#include "align.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

class Elementwise final : public Op {
 public:
  explicit Elementwise(const OpInput& input)
      : input_(input.spec.input),
        positions_(input.output().positions()),
        channels_(input.output().channels),
        stage_(input) {
    input.require_floats();
    input.require(input.input().same_shape(input.output()), "input and output differ in shape");
    input.require_no_weights();
  }

  size_t scratch_bytes() const override { return align(channels_ * sizeof(float)); }
  uint64_t work() const override { return uint64_t{positions_} * channels_; }

  void run(const Workspace& workspace) const noexcept override {
    auto* row = reinterpret_cast<float*>(workspace.scratch);
    const float* in = workspace.buffer<float>(input_);
    for (size_t position = 0; position < positions_; ++position) {
      std::memcpy(row, in + position * channels_, channels_ * sizeof(float));
      stage_.finish_floats(workspace, position, row);
    }
  }

 private:
  uint32_t input_;
  size_t positions_, channels_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_elementwise(const OpInput& input) {
  return std::make_unique<Elementwise>(input);
}

}  // namespace bifast
