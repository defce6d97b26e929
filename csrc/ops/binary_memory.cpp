// The memory of an FSMN block: a depthwise FIR filter over time with 1-bit taps on 1-bit
// activations. It may have several filters for each channel: output channel c reads input channel
// c % in_channels.
#include <algorithm>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

constexpr size_t kWordBytes = 8;
// Frames whose counts are held at once.
constexpr size_t kRows = 32;

class BinaryMemory final : public RowOp {
 public:
  explicit BinaryMemory(const OpInput& input)
      : kernels_(input.kernels),
        input_(input.spec.input),
        geometry_(Geometry::of(input)),
        channels_(input.output().channels),
        in_channels_(input.input().channels),
        planes_(input.input().planes),
        plane_bytes_(input.input().plane_bytes()),
        row_bytes_(input.input().row_bytes()),
        // Words may run into the next row (or the arena's slack): what they count there is never
        // used.
        word_bytes_(round_up(row_bytes_, kWordBytes)),
        stage_(input, read_weights(input)),
        fused_(planes_ == 1 && channels_ == in_channels_ && stage_.thresholds() == nullptr) {}

  size_t scratch_bytes() const override {
    return fused_ ? 0 : planes_ * plane_counts() * sizeof(uint16_t);
  }
  uint64_t work() const override {
    return uint64_t{geometry_.y.out} * geometry_.y.kernel * channels_ * planes_;
  }

  const Axis& rows() const override { return geometry_.y; }

  void run_rows(const Workspace& workspace, size_t first_row,
                size_t last_row) const noexcept override {
    auto* counts = reinterpret_cast<uint16_t*>(workspace.scratch);
    uint16_t* second = planes_ == 2 ? counts + plane_counts() : nullptr;
    const uint8_t* in = workspace.buffer<uint8_t>(input_);
    for (size_t first = first_row; first < last_row; first += kRows) {
      const size_t rows = std::min(kRows, last_row - first);
      if (fused_) {
        run_fused(workspace, in, first, rows);
        continue;
      }
      for (size_t r = 0; r < rows; ++r) {
        filter(in, first + r, counts + r * row_counts());
        if (second != nullptr) filter(in + plane_bytes_, first + r, second + r * row_counts());
      }
      uint32_t ids[kRows];
      const CountRows from{counts, second, row_counts()};
      stage_.finish_counts(
          from, stage_.results(workspace, first, rows, geometry_.classes(first, rows, ids)));
    }
  }

 private:
  size_t groups() const { return channels_ / in_channels_; }
  // The last group of filters counts whole words, past its channels.
  size_t row_counts() const {
    return OutputStage::padded(channels_ - in_channels_ + 8 * word_bytes_);
  }
  size_t plane_counts() const { return kRows * row_counts(); }

  // The first filter of each channel at frame t.
  MemoryRow row(const uint8_t* in, size_t t) const noexcept {
    const Axis& y = geometry_.y;
    const Axis::Taps taps = y.classes[y.class_of[t]];
    const size_t n_taps = taps.last - taps.first;
    return {n_taps == 0 ? in : in + y.input_of(t, taps.first) * row_bytes_,
            weights_.data() + taps.first * word_bytes_, n_taps};
  }

  void run_fused(const Workspace& workspace, const uint8_t* in, size_t first,
                 size_t rows) const noexcept {
    MemoryRow from[kRows];
    uint32_t ids[kRows];
    for (size_t r = 0; r < rows; ++r) from[r] = row(in, first + r);
    const Results to = stage_.results(workspace, first, rows, geometry_.classes(first, rows, ids));
    kernels_.memory_floats(from, geometry_.y.dilation * row_bytes_, word_bytes_, &stage_.floats(),
                           &to);
  }

  // One plane at frame t.
  void filter(const uint8_t* in, size_t t, uint16_t* counts) const noexcept {
    const MemoryRow from = row(in, t);
    for (size_t group = 0; group < groups(); ++group) {
      kernels_.memory_row(from.x, geometry_.y.dilation * row_bytes_,
                          from.w + group * geometry_.y.kernel * word_bytes_, from.n_taps,
                          counts + group * in_channels_, word_bytes_);
    }
  }

  CountBases read_weights(const OpInput& input) {
    const BufferSpec& in = input.input();
    const size_t taps = geometry_.y.kernel;
    input.require(in.is_bits, "expected bits as input");
    input.require(in.width == 1 && input.output().width == 1 && geometry_.x.kernel == 1 &&
                      geometry_.x.complete(),
                  "expected width 1 without padding");
    input.require(geometry_.y.stride == 1 && geometry_.x.stride == 1, "expected stride 1");
    input.require(channels_ % in_channels_ == 0, "output channels are no multiple of the input's");
    input.check_work(work());
    const TensorSpec& weights = input.bits(input.spec.weights, "weights", taps, channels_);
    input.claim(groups() * taps * word_bytes_ +
                geometry_.n_classes() * channels_ * sizeof(int32_t));

    weights_.assign(groups() * taps * word_bytes_, 0);
    for (size_t row = 0; row < groups() * taps; ++row) {
      const size_t group = row / taps, tap = row % taps;
      const uint8_t* from = weights.data + tap * weights.row_bytes();
      uint8_t* to = weights_.data() + row * word_bytes_;
      for (size_t c = 0; c < in_channels_; ++c) {
        const size_t source = group * in_channels_ + c;
        const int bit = from[source / 8] >> (source % 8) & 1;
        to[c / 8] |= static_cast<uint8_t>(bit << (c % 8));
      }
    }

    CountBases counts{taps, {}};
    for (const Axis::Taps& existing : geometry_.y.classes) {
      counts.bases.emplace_back(channels_, static_cast<int32_t>(existing.last - existing.first));
    }
    return counts;
  }

  const Kernels& kernels_;
  uint32_t input_;
  Geometry geometry_;
  size_t channels_, in_channels_, planes_, plane_bytes_, row_bytes_, word_bytes_;
  AlignedVector<uint8_t> weights_;  // [group][tap][word_bytes]
  OutputStage stage_;
  bool fused_;  // one kernel makes the sums and ends the layer
};

}  // namespace

std::unique_ptr<Op> make_binary_memory(const OpInput& input) {
  return std::make_unique<BinaryMemory>(input);
}

}  // namespace bifast
