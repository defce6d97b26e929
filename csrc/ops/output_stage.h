// The end of every layer (docs/format.md, "Output stage"): sums become bits by thresholds, or
// floats by an affine map, PReLU and residual, and from these one or two planes of bits.
#ifndef BIFAST_OPS_OUTPUT_STAGE_H_
#define BIFAST_OPS_OUTPUT_STAGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "align.h"
#include "ops/op.h"

namespace bifast {

// Sums of +-1 products reach the stage as counts p of differing bits: sum = base - 2 p, where base
// depends on the channel and on the class of the position (which taps exist there).
struct CountBases {
  size_t depth;                             // most products in one sum
  std::vector<std::vector<int32_t>> bases;  // [class][channel]
};

class OutputStage {
 public:
  // For layers whose sums are floats.
  explicit OutputStage(const OpInput& input);
  // For layers whose sums are counts.
  OutputStage(const OpInput& input, const CountBases& counts);
  OutputStage(const OutputStage&) = delete;  // affine_ points into the tables
  OutputStage& operator=(const OutputStage&) = delete;

  // Counts, limits and flips of one position are padded to this many channels.
  static size_t padded(size_t channels) { return round_up(channels, kColumnBlock); }

  // p: [padded(channels)], of the input's first plane; second: of its second, null if it has none;
  // row: [channels], room for floats that have no buffer of their own.
  void finish_counts(const Workspace& workspace, size_t position, size_t class_id,
                     const uint16_t* p, const uint16_t* second, float* row) const noexcept;
  // v: [channels], may be overwritten.
  void finish_floats(const Workspace& workspace, size_t position, float* v) const noexcept;

 private:
  struct ThresholdTable {
    std::vector<uint16_t> limit;
    std::vector<uint8_t> flip;
  };

  void read_affine(const OpInput& input);
  void read_sign_thresholds(const OpInput& input);
  void read_thresholds(const OpInput& input, const CountBases& counts);
  void read_counts(const OpInput& input, const CountBases& counts);
  float* float_row(const Workspace& workspace, size_t position) const noexcept;
  const float* residual_row(const Workspace& workspace, size_t position) const noexcept;
  void write_signs(const Workspace& workspace, size_t position, const float* y) const noexcept;
  void write_planes(const float* y, uint8_t* bits) const noexcept;

  const Kernels& kernels_;
  uint32_t residual_, out_f32_, out_bits_;
  size_t channels_, bits_row_bytes_ = 0, bits_plane_bytes_ = 0;
  uint32_t planes_ = 1;                      // of out_bits
  std::vector<ThresholdTable> thresholds_;   // [class]; empty: affine
  std::vector<std::vector<int32_t>> bases_;  // [class][channel]
  std::vector<float> scale_, shift_, slope_;
  Affine affine_{};
  std::vector<float> sign_thresholds_;  // [planes][channel]; empty: signs of one plane, at zero
  std::vector<float> plane_scale_, plane_shift_;
  Affine plane_affine_{};  // of the input's second plane
};

}  // namespace bifast

#endif  // BIFAST_OPS_OUTPUT_STAGE_H_
