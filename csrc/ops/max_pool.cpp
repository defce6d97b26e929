// Max pooling: the largest value of each channel under a window.
#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

// Taps that are compared at once.
constexpr size_t kTaps = 32;

class MaxPool final : public RowOp {
 public:
  explicit MaxPool(const OpInput& input)
      : kernels_(input.kernels),
        input_(input.spec.input),
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

  size_t scratch_bytes() const override { return align(row_values() * sizeof(float)); }
  uint64_t work() const override { return uint64_t{positions_} * geometry_.taps() * channels_; }

  const Axis& rows() const override { return geometry_.y; }

  void run_rows(const Workspace& workspace, size_t first_row,
                size_t last_row) const noexcept override {
    auto* row = reinterpret_cast<float*>(workspace.scratch);
    const float* in = workspace.buffer<float>(input_);
    const size_t width = geometry_.x.out;
    for (size_t y = first_row; y < last_row; ++y) {
      for (size_t x = 0; x < width; ++x) find_largest(in, y * width + x, row + x * channels_);
      stage_.finish_floats(workspace, y * width, row, width, channels_);
    }
  }

 private:
  size_t row_values() const { return geometry_.x.out * channels_; }

  // Taps in order: the first of equal values stays.
  void find_largest(const float* in, size_t position, float* out) const noexcept {
    const float* taps[kTaps];
    size_t n = 0;
    geometry_.for_taps(position, [&](size_t from) {
      if (n == kTaps) {
        kernels_.largest(taps, n, channels_, out);
        taps[0] = out;
        n = 1;
      }
      taps[n++] = in + from * channels_;
    });
    kernels_.largest(taps, n, channels_, out);
  }

  const Kernels& kernels_;
  uint32_t input_;
  Geometry geometry_;
  size_t positions_, channels_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_max_pool(const OpInput& input) { return std::make_unique<MaxPool>(input); }

}  // namespace bifast
