// Convolution of bytes with weights of bytes: the first and the last layer of nets of bits.
//
// Sums are integers. A line of a patch is x.kernel * in_channels bytes, taken four at a time: its
// weights are padded with zeros, under which whatever follows the line may lie. Patches lie in a
// copy of a small input that has its padding around it; of a large one the lines of some positions
// are copied at a time.
#include <algorithm>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"

namespace bifast {
namespace {

// Positions that are computed at once, all of one row of the output.
constexpr size_t kRows = 64;
// A copy of the input that stays in the first cache.
constexpr size_t kMaxSourceBytes = size_t{16} << 10;

class ByteConv2d final : public RowOp {
 public:
  explicit ByteConv2d(const OpInput& input)
      : kernels_(input.kernels),
        input_(input.spec.input),
        geometry_(Geometry::of(input)),
        channels_(input.output().channels),
        padded_(round_up(channels_, kFloatBlock)),
        in_channels_(input.input().channels),
        groups_((geometry_.x.kernel * in_channels_ + 3) / 4),
        source_bytes_(geometry_.padded_bytes(in_channels_)),
        padded_source_(source_bytes_ <= kMaxSourceBytes),
        line_bytes_(padded_source_ ? geometry_.x.span() * in_channels_
                                   : ((std::min(kRows, geometry_.x.out) - 1) * geometry_.x.stride +
                                      geometry_.x.kernel) *
                                             in_channels_ +
                                         3),
        fill_(static_cast<uint8_t>(input.spec.fill)),
        stage_(input) {
    const OpSpec& s = input.spec;
    input.require(input.input().is_bytes, "expected bytes as input");
    input.require(s.fill <= 255, "fill: expected a byte");
    input.require(s.flip == kNone, "integer thresholds are for binary layers");
    for (size_t axis = 0; axis < 2; ++axis) {
      input.require(s.dilation[axis] == 1 && s.stride[axis] <= s.kernel[axis],
                    "expected dilation 1 and a stride of at most the kernel");
    }
    const size_t depth = geometry_.taps() * in_channels_;
    input.require(depth <= kMaxDepthBytes, "more than 65535 products in one sum");
    input.check_work(work());
    const TensorSpec& w = input.tensor(s.weights, "weights", depth, channels_);
    input.require(w.dtype == Dtype::i8, "weights: expected bytes");
    read_weights(input, w);
  }

  size_t scratch_bytes() const override {
    return lines_bytes() + align(kRows * padded_ * sizeof(float));
  }
  uint64_t work() const override {
    return uint64_t{geometry_.y.out} * geometry_.x.out * channels_ * geometry_.taps() *
           in_channels_;
  }

  const Axis& rows() const override { return geometry_.y; }

  void run_rows(const Workspace& workspace, size_t first_row,
                size_t last_row) const noexcept override {
    uint8_t* lines = workspace.scratch;
    auto* sums = reinterpret_cast<float*>(lines + lines_bytes());
    const uint8_t* in = workspace.buffer<uint8_t>(input_);
    if (padded_source_) geometry_.pad(in, in_channels_, first_row, last_row, lines, fill_);
    const size_t step = geometry_.x.stride * in_channels_;
    for (size_t y = first_row; y < last_row; ++y) {
      for (size_t x = 0; x < geometry_.x.out; x += kRows) {
        const size_t first = y * geometry_.x.out + x, rows = std::min(kRows, geometry_.x.out - x);
        const uint8_t* patches = lines;
        if (padded_source_) {
          patches += y * geometry_.y.stride * line_bytes_ + x * step;
        } else {
          geometry_.gather_lines(in, in_channels_, first, rows, line_bytes_, fill_, lines);
        }
        multiply(patches, sums, rows);
        stage_.finish_floats(workspace, first, sums, rows, padded_);
      }
    }
  }

 private:
  void multiply(const uint8_t* lines, float* sums, size_t rows) const noexcept {
    const size_t step = geometry_.x.stride * in_channels_;
    if (run_ != 0 && rows >= kByteRunRows) {
      kernels_.byte_runs(lines, step, runs_.data(), runs_.size(), run_, weights_.data(), sums, rows,
                         padded_);
    } else {
      kernels_.byte_matmul(lines, step, offsets_.data(), weights_.data(), sums, rows, padded_,
                           offsets_.size());
    }
  }

  static constexpr size_t kMaxDepthBytes = 65535;  // 65535 * 255 * 128 < 2^31

  // The last group of a patch may reach 3 bytes further.
  size_t lines_bytes() const {
    return align(padded_source_ ? source_bytes_ + 3 : geometry_.y.kernel * line_bytes_);
  }

  void read_weights(const OpInput& input, const TensorSpec& w) {
    const size_t line = geometry_.x.kernel * in_channels_;
    const size_t n_groups = geometry_.y.kernel * groups_;
    input.claim(n_groups * (4 * padded_ + sizeof(uint32_t)));
    weights_.resize(n_groups * 4 * padded_, 0);
    for (size_t ty = 0; ty < geometry_.y.kernel; ++ty) {
      for (size_t g = 0; g < groups_; ++g) {
        offsets_.push_back(static_cast<uint32_t>(ty * line_bytes_ + 4 * g));
      }
      for (size_t i = 0; i < line; ++i) {
        const uint8_t* row = w.data + (ty * line + i) * channels_;
        int8_t* group = weights_.data() + (ty * groups_ + i / 4) * 4 * padded_;
        for (size_t c = 0; c < channels_; ++c) {
          group[4 * c + i % 4] = static_cast<int8_t>(row[c]);
        }
      }
    }
    if (kernels_.byte_runs == nullptr || padded_ % kByteRunRows != 0) return;
    if (groups_ > 16 && groups_ % 16 != 0) return;
    run_ = std::min<size_t>(groups_, 16);
    for (size_t i = 0; i < offsets_.size(); i += run_) runs_.push_back(offsets_[i]);
  }

  const Kernels& kernels_;
  uint32_t input_;
  Geometry geometry_;
  size_t channels_, padded_, in_channels_;
  size_t groups_;  // of four bytes in one line of a patch
  size_t source_bytes_;
  bool padded_source_;
  size_t line_bytes_;  // from one tap's line to the next
  AlignedVector<int8_t> weights_;
  std::vector<uint32_t> offsets_;  // of a patch's groups from its start
  std::vector<uint32_t> runs_;     // of every run_-th of them
  size_t run_ = 0;                 // groups that follow each other; 0: byte_matmul is used
  uint8_t fill_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_byte_conv2d(const OpInput& input) {
  return std::make_unique<ByteConv2d>(input);
}

}  // namespace bifast
