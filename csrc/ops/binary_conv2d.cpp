// Convolution of bits with 1-bit weights; dense and 1 x 1 layers are its special cases.
//
// Patches are rows of a binary matrix product. Missing taps are gathered as zero bits, which would
// count as -1: the number of weight bits under them is known for each class of positions and
// corrected in the base of the sum,
//   sum = K_existing - 2 (p - ones_missing) = base - 2 p.
#include <algorithm>
#include <cstring>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

// Positions whose counts are held at once.
constexpr size_t kRows = 32;

class BinaryConv2d final : public RowOp {
 public:
  explicit BinaryConv2d(const OpInput& input)
      : kernels_(input.kernels),
        input_(input.spec.input),
        geometry_(Geometry::of(input)),
        channels_(input.output().channels),
        positions_(input.output().positions()),
        tap_bytes_(input.input().row_bytes()),
        planes_(input.input().planes),
        plane_bytes_(input.input().plane_bytes()),
        depth_(geometry_.taps() * input.input().channels),
        depth_bytes_(round_up(geometry_.taps() * tap_bytes_, input.kernels.tile_bytes)),
        direct_(geometry_.patches_are_runs() && geometry_.taps() * tap_bytes_ == depth_bytes_),
        stage_(input, read_weights(input)) {}

  size_t scratch_bytes() const override { return patch_bytes() + count_bytes() + row_bytes(); }
  uint64_t work() const override { return uint64_t{positions_} * channels_ * depth_ * planes_; }

  const Axis& rows() const override { return geometry_.y; }

  void run_rows(const Workspace& workspace, size_t first_row,
                size_t last_row) const noexcept override {
    uint8_t* patches = workspace.scratch;
    auto* counts = reinterpret_cast<uint16_t*>(patches + patch_bytes());
    auto* row = reinterpret_cast<float*>(patches + patch_bytes() + count_bytes());
    const uint8_t* in = workspace.buffer<uint8_t>(input_);
    const size_t n_padded = OutputStage::padded(channels_);
    uint16_t* second = planes_ == 2 ? counts + kRows * n_padded : nullptr;
    const size_t end = last_row * geometry_.x.out;
    for (size_t first = first_row * geometry_.x.out; first < end; first += kRows) {
      const size_t rows = std::min(kRows, end - first);
      multiply(in, first, rows, patches, counts);
      if (second != nullptr) multiply(in + plane_bytes_, first, rows, patches, second);
      for (size_t r = 0; r < rows; ++r) {
        stage_.finish_counts(workspace, first + r, geometry_.class_of(first + r),
                             counts + r * n_padded,
                             second == nullptr ? nullptr : second + r * n_padded, row);
      }
    }
  }

 private:
  // One plane, positions first .. first + rows.
  void multiply(const uint8_t* in, size_t first, size_t rows, uint8_t* patches,
                uint16_t* counts) const noexcept {
    const size_t n_padded = OutputStage::padded(channels_);
    const uint8_t* a = patches;
    size_t stride = depth_bytes_;
    if (direct_) {
      stride = geometry_.patch_step() * tap_bytes_;
      a = in + first * stride;
    } else {
      for (size_t r = 0; r < rows; ++r) gather(in, first + r, patches + r * depth_bytes_);
    }
    kernels_.binary_matmul(a, stride, panel_->data(), counts, n_padded, rows,
                           round_up(channels_, kernels_.tile_cols), depth_bytes_);
  }

  size_t patch_bytes() const { return direct_ ? 0 : align(kRows * depth_bytes_); }
  size_t count_bytes() const {
    return planes_ * kRows * OutputStage::padded(channels_) * sizeof(uint16_t);
  }
  size_t row_bytes() const { return align(channels_ * sizeof(float)); }

  void gather(const uint8_t* in, size_t position, uint8_t* patch) const noexcept {
    geometry_.gather(in, tap_bytes_, position, patch);
    const size_t used = geometry_.taps() * tap_bytes_;
    std::memset(patch + used, 0, depth_bytes_ - used);
  }

  // Makes the panel and returns the bases of the sums.
  CountBases read_weights(const OpInput& input) {
    const BufferSpec& in = input.input();
    input.require(in.is_bits, "expected bits as input");
    input.require(depth_ <= kMaxDepthBits, "more than 65535 products in one sum");
    input.check_work(work());
    const TensorSpec& weights = input.bits(input.spec.weights, "weights", channels_, depth_);
    input.claim(2 * OutputStage::padded(channels_) * depth_bytes_);  // the panel and its making
    panel_ = input.panels.get(input.spec.weights, weights,
                              {geometry_.taps(), in.channels, tap_bytes_, depth_bytes_}, kernels_);
    input.claim((geometry_.n_classes() + geometry_.taps()) * channels_ * sizeof(int32_t));
    return count_bases(weights, in.channels);
  }

  CountBases count_bases(const TensorSpec& weights, size_t in_channels) const {
    const size_t taps = geometry_.taps();
    const bool complete = geometry_.y.complete() && geometry_.x.complete();
    std::vector<int32_t> ones(complete ? 0 : channels_ * taps, 0);  // weight bits under each tap
    for (size_t i = 0; i < ones.size() * in_channels; ++i) {
      const size_t n = i / depth_, k = i % depth_;
      ones[n * taps + k / in_channels] +=
          weights.data[n * weights.row_bytes() + k / 8] >> (k % 8) & 1;
    }
    CountBases counts{depth_, {}};
    for (size_t class_id = 0; class_id < geometry_.n_classes(); ++class_id) {
      std::vector<int32_t> base(channels_, complete ? static_cast<int32_t>(depth_) : 0);
      for (size_t i = 0; i < ones.size(); ++i) {
        base[i / taps] += geometry_.tap_exists(class_id, i % taps)
                              ? static_cast<int32_t>(in_channels)
                              : 2 * ones[i];
      }
      counts.bases.push_back(std::move(base));
    }
    return counts;
  }

  const Kernels& kernels_;
  uint32_t input_;
  Geometry geometry_;
  size_t channels_, positions_, tap_bytes_, planes_, plane_bytes_, depth_, depth_bytes_;
  bool direct_;  // patches lie in the input as they are needed
  std::shared_ptr<const Panel> panel_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_binary_conv2d(const OpInput& input) {
  return std::make_unique<BinaryConv2d>(input);
}

}  // namespace bifast
