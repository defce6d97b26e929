// Convolution of bytes with weights of bytes: the first and the last layer of nets of bits.
//
// Sums are integers. A line of a patch is x.kernel * in_channels bytes, taken four at a time: its
// weights are padded with zeros, under which whatever follows the line may lie. Patches lie in the
// input where it has no padding; in a copy of a small input that has its padding around it; of a
// large one the lines of some positions are copied at a time. Where it saves a quarter of the
// groups, four lines of the copy are woven into one, so that a group is a column of four taps.
#include <algorithm>
#include <array>
#include <cstring>

#include "align.h"
#include "ops/geometry.h"
#include "ops/output_stage.h"
#include "shuffle.h"

namespace bifast {
namespace {

// Positions that are computed at once, all of one row of the output.
constexpr size_t kRows = 64;
// A copy of the input that stays in the first cache.
constexpr size_t kMaxSourceBytes = size_t{16} << 10;
constexpr size_t kMaxDepthBytes = 65535;  // 65535 * 255 * 128 < 2^31
// The last group of a patch may reach so many bytes further.
constexpr size_t kReach = 3;

// Four bytes of a patch's depth: where they lie, and which they are.
struct Group {
  size_t offset;
  std::array<size_t, 4> elements;  // kNoElement: of weight 0
};
constexpr size_t kNoElement = SIZE_MAX;

constexpr size_t kWeave = 16;
using Line = uint8_t __attribute__((vector_size(kWeave)));

// The bytes of a and b in turn.
inline void zip(const Line& a, const Line& b, Line& low, Line& high) {
  low = BIFAST_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  high = BIFAST_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// to[4 i + j] = from[j][i], in whole lines of kWeave.
inline void weave(const std::array<const uint8_t*, 4>& from, size_t n, uint8_t* to) {
  for (size_t i = 0; i < n; i += kWeave, to += 4 * kWeave) {
    Line in[4], even[2], odd[2], woven[4];
    for (size_t j = 0; j < 4; ++j) std::memcpy(&in[j], from[j] + i, kWeave);
    zip(in[0], in[2], even[0], even[1]);
    zip(in[1], in[3], odd[0], odd[1]);
    zip(even[0], odd[0], woven[0], woven[1]);
    zip(even[1], odd[1], woven[2], woven[3]);
    std::memcpy(to, woven, sizeof(woven));
  }
}

class ByteConv2d final : public RowOp {
 public:
  explicit ByteConv2d(const OpInput& input)
      : kernels_(input.kernels),
        input_(input.spec.input),
        geometry_(Geometry::of(input)),
        channels_(input.output().channels),
        padded_(round_up(channels_, kFloatBlock)),
        in_channels_(input.input().channels),
        position_bytes_(geometry_.x.stride * in_channels_),
        source_bytes_(geometry_.padded_bytes(in_channels_)),
        placement_(placement()),
        line_bytes_(line_bytes()),
        woven_(saves_groups()),
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
    find_runs();
    stage_.find_sum_signs(input, static_cast<int32_t>(depth * 255 * 128));
  }

  size_t scratch_bytes() const override {
    return lines_bytes() + woven_bytes() + (run_ == 0 ? 0 : align(kRows * padded_ * sizeof(float)));
  }
  uint64_t work() const override {
    return uint64_t{geometry_.y.out} * geometry_.x.out * channels_ * geometry_.taps() *
           in_channels_;
  }

  const Axis& rows() const override { return geometry_.y; }

  void run_rows(const Workspace& workspace, size_t first_row,
                size_t last_row) const noexcept override {
    const uint8_t* in = workspace.buffer<uint8_t>(input_);
    uint8_t* lines = workspace.scratch;
    if (placement_ == Placement::input) {
      const size_t step = geometry_.patch_step() * in_channels_;
      const size_t first = first_row * geometry_.x.out, n = last_row * geometry_.x.out - first;
      multiply(workspace, in + first * step, step, first, n);
      return;
    }
    if (placement_ == Placement::padded) {
      geometry_.pad(in, in_channels_, first_row, last_row, lines, fill_);
    }
    const size_t step = (woven_ ? 4 : 1) * position_bytes_;
    for (size_t y = first_row; y < last_row; ++y) {
      if (woven_) weave_lines(lines + y * geometry_.y.stride * line_bytes_, lines + lines_bytes());
      for (size_t x = 0; x < geometry_.x.out; x += kRows) {
        const size_t first = y * geometry_.x.out + x, rows = std::min(kRows, geometry_.x.out - x);
        const uint8_t* patches = lines;
        if (woven_) {
          patches += lines_bytes() + x * step;
        } else if (placement_ == Placement::padded) {
          patches += y * geometry_.y.stride * line_bytes_ + x * step;
        } else {
          geometry_.gather_lines(in, in_channels_, first, rows, line_bytes_, fill_, lines);
        }
        multiply(workspace, patches, step, first, rows);
      }
    }
  }

 private:
  enum class Placement { input, padded, lines };

  Placement placement() const {
    if (geometry_.patches_are_runs()) return Placement::input;
    return source_bytes_ <= kMaxSourceBytes ? Placement::padded : Placement::lines;
  }
  // From one tap's line to the next.
  size_t line_bytes() const {
    switch (placement_) {
      case Placement::input:
        return geometry_.taps() * in_channels_;
      case Placement::padded:
        return geometry_.x.span() * in_channels_;
      default:
        return (std::min(kRows, geometry_.x.out) - 1) * position_bytes_ +
               geometry_.x.kernel * in_channels_ + kReach;
    }
  }
  size_t lines_bytes() const {
    switch (placement_) {
      case Placement::input:
        return 0;
      case Placement::padded:
        return align(source_bytes_ + kReach);
      default:
        return align(geometry_.y.kernel * line_bytes_);
    }
  }

  void multiply(const Workspace& workspace, const uint8_t* a, size_t step, size_t first,
                size_t rows) const noexcept {
    if (run_ != 0 && rows >= kByteRunRows && rows <= kRows) {
      auto* sums = reinterpret_cast<float*>(workspace.scratch + lines_bytes() + woven_bytes());
      kernels_.byte_runs(a, step, runs_.data(), runs_.size(), run_, weights_.data(), sums, rows,
                         padded_);
      stage_.finish_floats(workspace, first, sums, rows, padded_);
      return;
    }
    const ByteProduct product{
        a,      step, offsets_.data(), weights_.data(), totals_.data(), padded_, offsets_.size(),
        lowest_};
    const Results to = stage_.results(workspace, first, rows, nullptr);
    if (stage_.sum_signs() != nullptr) {
      kernels_.byte_signs(&product, stage_.sum_signs(), &to);
    } else {
      kernels_.byte_floats(&product, &stage_.floats(), &to);
    }
  }

  // Bytes of a patch in one line; a run of positions is one line.
  size_t patch_line() const {
    return (placement_ == Placement::input ? geometry_.taps() : geometry_.x.kernel) * in_channels_;
  }
  size_t n_lines() const { return geometry_.taps() * in_channels_ / patch_line(); }
  bool saves_groups() const {
    const size_t lines = n_lines(), groups = (patch_line() + 3) / 4;
    return placement_ == Placement::padded &&
           4 * (lines / 4 * patch_line() + lines % 4 * groups) <= 3 * lines * groups;
  }

  // Each four lines of a patch are woven into one, column by column; of each line that is left the
  // four bytes from every place on.
  size_t n_woven() const { return woven_ ? n_lines() / 4 + n_lines() % 4 : 0; }
  size_t woven_line() const { return 4 * round_up(geometry_.x.span() * in_channels_, kWeave); }
  size_t woven_bytes() const { return align(n_woven() * woven_line()); }
  void weave_lines(const uint8_t* lines, uint8_t* to) const noexcept {
    for (size_t i = 0; i < n_woven(); ++i, to += woven_line()) {
      const bool four = i < n_lines() / 4;
      const uint8_t* from = lines + (four ? 4 * i : n_lines() / 4 * 3 + i) * line_bytes_;
      const size_t next = four ? line_bytes_ : 1;
      weave({from, from + next, from + 2 * next, from + 3 * next}, line_bytes_, to);
    }
  }

  std::vector<Group> groups() const {
    std::vector<Group> found;
    const size_t line = patch_line(), lines = n_lines(), fours = woven_ ? lines / 4 : 0;
    for (size_t i = 0; i < fours; ++i) {
      for (size_t at = 0; at < line; ++at) {
        const size_t first = 4 * i * line + at;
        found.push_back(
            {i * woven_line() + 4 * at, {first, first + line, first + 2 * line, first + 3 * line}});
      }
    }
    for (size_t i = 4 * fours; i < lines; ++i) {
      for (size_t at = 0; at < line; at += 4) {
        found.push_back(
            {woven_ ? (i - 3 * fours) * woven_line() + 4 * at : i * line_bytes_ + at, {}});
        for (size_t j = 0; j < 4; ++j) {
          found.back().elements[j] = at + j < line ? i * line + at + j : kNoElement;
        }
      }
    }
    return found;
  }

  void read_weights(const OpInput& input, const TensorSpec& w) {
    const std::vector<Group> all = groups();
    input.claim(all.size() * (4 * padded_ + sizeof(uint32_t)) + padded_ * sizeof(int32_t));
    weights_.resize(all.size() * 4 * padded_, 0);
    totals_.resize(padded_, 0);
    for (size_t i = 0; i < 4 * all.size(); ++i) {
      const Group& group = all[i / 4];
      const size_t element = group.elements[i % 4];
      if (i % 4 == 0) offsets_.push_back(static_cast<uint32_t>(group.offset));
      if (element == kNoElement) continue;
      for (size_t c = 0; c < channels_; ++c) {
        const auto weight = static_cast<int8_t>(w.data[element * channels_ + c]);
        weights_[4 * (i / 4 * padded_ + c) + i % 4] = weight;
        totals_[c] += weight;
        lowest_ = lowest_ || weight == -128;
      }
    }
  }

  void find_runs() {
    if (kernels_.byte_runs == nullptr || padded_ % kByteRunRows != 0 || woven_) return;
    const size_t groups = (patch_line() + 3) / 4;
    if (groups > 16 && groups % 16 != 0) return;
    run_ = std::min<size_t>(groups, 16);
    for (size_t i = 0; i < offsets_.size(); i += run_) runs_.push_back(offsets_[i]);
  }

  const Kernels& kernels_;
  uint32_t input_;
  Geometry geometry_;
  size_t channels_, padded_, in_channels_;
  size_t position_bytes_;  // from one position's patch to the next
  size_t source_bytes_;
  Placement placement_;
  size_t line_bytes_;
  bool woven_;
  AlignedVector<int8_t> weights_;
  std::vector<uint32_t> offsets_;  // of a patch's groups from its start
  AlignedVector<int32_t> totals_;
  bool lowest_ = false;
  std::vector<uint32_t> runs_;  // of every run_-th of the offsets
  size_t run_ = 0;              // groups that follow each other; 0: there are none to use
  uint8_t fill_;
  OutputStage stage_;
};

}  // namespace

std::unique_ptr<Op> make_byte_conv2d(const OpInput& input) {
  return std::make_unique<ByteConv2d>(input);
}

}  // namespace bifast
