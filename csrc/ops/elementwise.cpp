// The output stage alone: batch-norm, PReLU, residual add, sign.
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

  uint64_t work() const override { return uint64_t{positions_} * channels_; }

  void run(const Workspace& workspace) const noexcept override {
    stage_.finish_floats(workspace, 0, workspace.buffer<float>(input_), positions_, channels_);
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
