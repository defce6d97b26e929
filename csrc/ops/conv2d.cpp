// Convolution of floats; dense layers are its special case.
#include <algorithm>
#include <cstring>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

// Positions that are computed at once where patches are copied.
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
        source_bytes_(geometry_.padded_bytes(in_channels_ * sizeof(float))),
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
      offsets_.push_back(offset(k));
    }
  }

  size_t scratch_bytes() const override {
    switch (placement_) {
      case Placement::input:
        return 0;
      case Placement::padded:
        return align(source_bytes_);
      default:
        return align(kRows * depth_ * sizeof(float) + kGatherSlack);
    }
  }
  uint64_t work() const override { return uint64_t{positions_} * channels_ * depth_; }

  const Axis& rows() const override { return geometry_.y; }

  void run_rows(const Workspace& workspace, size_t first_row,
                size_t last_row) const noexcept override {
    const float* in = workspace.buffer<float>(input_);
    auto* copy = reinterpret_cast<float*>(workspace.scratch);
    if (placement_ == Placement::patches) {
      const size_t end = last_row * geometry_.x.out;
      for (size_t first = first_row * geometry_.x.out; first < end; first += kRows) {
        const size_t rows = std::min(kRows, end - first);
        geometry_.gather(reinterpret_cast<const uint8_t*>(in), in_channels_ * sizeof(float), first,
                         rows, depth_ * sizeof(float), workspace.scratch);
        multiply(workspace, copy, depth_, first, rows);
      }
      return;
    }
    if (placement_ == Placement::padded) {
      geometry_.pad(reinterpret_cast<const uint8_t*>(in), in_channels_ * sizeof(float), first_row,
                    last_row, workspace.scratch);
      in = copy;
    }
    if (geometry_.x.out == 1) {  // one run of rows
      const size_t step = geometry_.y.stride * line_floats();
      multiply(workspace, in + first_row * step, step, first_row, last_row - first_row);
      return;
    }
    for (size_t row = first_row; row < last_row; ++row) {
      multiply(workspace, in + row * geometry_.y.stride * line_floats(),
               geometry_.x.stride * in_channels_, row * geometry_.x.out, geometry_.x.out);
    }
  }

 private:
  // Where the kernel finds the patches: in the input, in a copy that has the padding around it, or,
  // where that would be large, each copied by itself. Missing taps become zeros: adding the product
  // 0 * w changes no bit of a sum that starts at +0.
  enum class Placement { input, padded, patches };

  Placement placement() const {
    if (geometry_.y.complete() && geometry_.x.complete() && geometry_.y.pad == 0 &&
        geometry_.x.pad == 0) {
      return Placement::input;
    }
    return source_bytes_ == kNoPadding ? Placement::patches : Placement::padded;
  }
  // Floats from one line of the input, or of its copy, to the next.
  size_t line_floats() const {
    return in_channels_ * (placement_ == Placement::padded ? geometry_.x.span() : geometry_.x.in);
  }
  // Of element k of a patch from the patch's start.
  uint32_t offset(size_t k) const {
    if (placement_ == Placement::patches) return static_cast<uint32_t>(k);
    const size_t tap = k / in_channels_, c = k % in_channels_;
    const size_t ty = tap / geometry_.x.kernel, tx = tap % geometry_.x.kernel;
    return static_cast<uint32_t>(ty * geometry_.y.dilation * line_floats() +
                                 tx * geometry_.x.dilation * in_channels_ + c);
  }
  void multiply(const Workspace& workspace, const float* a, size_t stride, size_t first,
                size_t rows) const noexcept {
    const FloatProduct product{a, stride, offsets_.data(), weights_.data(), padded_, depth_};
    const Results to = stage_.results(workspace, first, rows, nullptr);
    kernels_.float_product(&product, &stage_.floats(), &to);
  }

  const Kernels& kernels_;
  uint32_t input_;
  Geometry geometry_;
  size_t channels_, padded_, positions_, in_channels_, depth_, source_bytes_;
  Placement placement_;
  AlignedVector<float> weights_;
  std::vector<uint32_t> offsets_;  // of a patch's elements from its start
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_conv2d(const OpInput& input) { return std::make_unique<Conv2d>(input); }

}  // namespace bifast
