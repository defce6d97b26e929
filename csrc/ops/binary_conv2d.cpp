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

// Positions whose patches are held at once.
constexpr size_t kRows = 32;
// From so many positions and multiply-adds on, a kernel that takes all positions at once is the
// faster one, and worth its memory.
constexpr uint64_t kImageWork = uint64_t{1} << 22;
constexpr size_t kImageRows = 32;

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
        source_bytes_(geometry_.padded_bytes(tap_bytes_)),
        padded_(!direct_ && geometry_.n_classes() > 1 && source_bytes_ != kNoPadding),
        source_(padded_ ? geometry_.padded() : geometry_),
        image_(fits_image(input)),
        stage_(input, read_weights(input)) {
    stage_.tile_limits(input, depth_bytes_);
  }

  size_t scratch_bytes() const override {
    if (direct_) return 0;
    size_t bytes = align(planes_ * patch_bytes() + kGatherSlack);
    if (image_) {
      const BinaryImage all = image(0, geometry_.y.out);
      bytes = std::max(bytes, class_bytes() + align(kernels_.image_bytes(&all)));
    }
    return patch_offset() + bytes;
  }
  uint64_t work() const override { return uint64_t{positions_} * channels_ * depth_ * planes_; }

  const Axis& rows() const override { return geometry_.y; }

  void run_rows(const Workspace& workspace, size_t first_row,
                size_t last_row) const noexcept override {
    const uint8_t* in = workspace.buffer<uint8_t>(input_);
    const size_t begin = first_row * geometry_.x.out, end = last_row * geometry_.x.out;
    if (direct_) {
      const size_t step = geometry_.patch_step() * tap_bytes_;
      multiply(workspace, in + begin * step, step, plane_bytes_, begin, end - begin);
      return;
    }
    size_t plane_bytes = plane_bytes_;
    if (padded_) {
      plane_bytes = source_bytes_;
      for (size_t plane = 0; plane < planes_; ++plane) {
        geometry_.pad(in + plane * plane_bytes_, tap_bytes_, first_row, last_row,
                      workspace.scratch + plane * source_bytes_);
      }
      in = workspace.scratch;
    }
    if (image_ && end - begin >= kImageRows) {
      multiply_image(workspace, in, first_row, last_row);
      return;
    }
    uint8_t* patches = workspace.scratch + patch_offset();
    for (size_t first = begin; first < end; first += kRows) {
      const size_t rows = std::min(kRows, end - first);
      for (size_t plane = 0; plane < planes_; ++plane) {
        source_.gather(in + plane * plane_bytes, tap_bytes_, first, rows, depth_bytes_,
                       patches + plane * patch_bytes());
      }
      multiply(workspace, patches, depth_bytes_, patch_bytes(), first, rows);
    }
  }

 private:
  size_t patch_offset() const {
    return padded_ ? align(planes_ * source_bytes_ + kGatherSlack) : 0;
  }
  size_t patch_bytes() const { return align(kRows * depth_bytes_ + kGatherSlack); }

  void multiply(const Workspace& workspace, const uint8_t* a, size_t stride, size_t plane_bytes,
                size_t first, size_t rows) const noexcept {
    const BinaryProduct product{a, stride, planes_ == 2 ? plane_bytes : 0, panel_->data(),
                                depth_bytes_};
    uint32_t ids[kRows];
    const uint32_t* classes = direct_ ? nullptr : geometry_.classes(first, rows, ids);
    const Results to = stage_.results(workspace, first, rows, classes);
    if (stage_.thresholds() != nullptr) {
      kernels_.binary_thresholds(&product, stage_.thresholds(), &to);
    } else {
      kernels_.binary_floats(&product, &stage_.floats(), &to);
    }
  }

  // Whether there is a kernel that takes all positions at once, and it can.
  bool fits_image(const OpInput& input) const {
    const uint32_t bits = input.spec.out_bits;
    const bool one_plane = planes_ == 1 && (bits == kNone || input.file.buffers[bits].planes == 1);
    return kernels_.image_bytes != nullptr && one_plane && !direct_ &&
           (padded_ || geometry_.n_classes() == 1) && positions_ >= kImageRows &&
           work() >= kImageWork && tap_bytes_ % kImageStep == 0 && channels_ % kImageChannels == 0;
  }
  size_t class_bytes() const { return align(positions_ * sizeof(uint32_t)); }

  BinaryImage image(size_t first_row, size_t last_row) const {
    const Axis &y = source_.y, &x = source_.x;
    return {.a = nullptr,
            .position_bytes = tap_bytes_,
            .width = x.in,
            .rows = last_row - first_row,
            .cols = x.out,
            .kernel = {y.kernel, x.kernel},
            .stride = {y.stride, x.stride},
            .dilation = {y.dilation, x.dilation},
            .panel = panel_ == nullptr ? nullptr : panel_->data(),
            .ones = ones_.data(),
            .work = nullptr};
  }

  // in: where the patches come from.
  void multiply_image(const Workspace& workspace, const uint8_t* in, size_t first_row,
                      size_t last_row) const noexcept {
    uint8_t* work = workspace.scratch + patch_offset();
    BinaryImage product = image(first_row, last_row);
    product.a = in + first_row * source_.y.stride * source_.x.in * tap_bytes_;
    product.work = work + class_bytes();
    const size_t first = first_row * geometry_.x.out, n = product.rows * product.cols;
    const uint32_t* classes = geometry_.classes(first, n, reinterpret_cast<uint32_t*>(work));
    const Results to = stage_.results(workspace, first, n, classes);
    if (stage_.thresholds() != nullptr) {
      kernels_.image_thresholds(&product, stage_.thresholds(), &to);
    } else {
      kernels_.image_floats(&product, &stage_.floats(), &to);
    }
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
                              {geometry_.taps(), in.channels, tap_bytes_, depth_bytes_},
                              input.spec.flip != kNone, kernels_);
    input.claim((geometry_.n_classes() + geometry_.taps()) * channels_ * sizeof(int32_t));
    const bool complete = geometry_.y.complete() && geometry_.x.complete();
    const std::vector<int32_t> ones = complete && !image_
                                          ? std::vector<int32_t>(channels_ * geometry_.taps(), 0)
                                          : ones_of_taps(weights, in.channels);
    if (image_) {
      input.claim(OutputStage::padded(channels_) * sizeof(int32_t));
      ones_.resize(OutputStage::padded(channels_), 0);
      for (size_t i = 0; i < ones.size(); ++i) ones_[i / geometry_.taps()] += ones[i];
    }
    return count_bases(ones, in.channels);
  }

  // Weight bits under each tap: [channels][taps].
  std::vector<int32_t> ones_of_taps(const TensorSpec& weights, size_t in_channels) const {
    std::vector<int32_t> ones(channels_ * geometry_.taps(), 0);
    for (size_t i = 0; i < ones.size() * in_channels; ++i) {
      const size_t n = i / depth_, k = i % depth_;
      ones[n * geometry_.taps() + k / in_channels] +=
          weights.data[n * weights.row_bytes() + k / 8] >> (k % 8) & 1;
    }
    return ones;
  }

  CountBases count_bases(const std::vector<int32_t>& ones, size_t in_channels) const {
    const size_t taps = geometry_.taps();
    CountBases counts{depth_, {}};
    for (size_t class_id = 0; class_id < geometry_.n_classes(); ++class_id) {
      std::vector<int32_t> base(channels_, 0);
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
  size_t source_bytes_;
  bool padded_;      // patches come from a copy of the input that has the padding around it
  Geometry source_;  // of what they come from
  bool image_;       // a kernel takes all positions at once
  std::shared_ptr<const Panel> panel_;
  AlignedVector<int32_t> ones_;  // of image_: bits of each channel's weights
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_binary_conv2d(const OpInput& input) {
  return std::make_unique<BinaryConv2d>(input);
}

}  // namespace bifast
