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
  // For products: makes the tables that their kernel reads.
  void tile_limits(const OpInput& input, size_t depth_bytes);
  OutputStage(const OutputStage&) = delete;  // the stages point into the tables
  OutputStage& operator=(const OutputStage&) = delete;

  // Rows of counts are padded to this many channels.
  static size_t padded(size_t channels) { return round_up(channels, kColumnBlock); }
  // Where a layer that makes its sums and ends in one kernel puts n positions from `first` on.
  // classes: [n], or null where there is one class.
  Results results(const Workspace& workspace, size_t first, size_t n,
                  const uint32_t* classes) const noexcept;
  // Null where the layer ends in floats.
  const ThresholdStage* thresholds() const { return has_thresholds_ ? &thresholds_ : nullptr; }
  const FloatStage& floats() const { return floats_; }

  // For integer sums of at most this size: has sum_signs() where signs are all that is read of
  // them.
  void find_sum_signs(const OpInput& input, int32_t largest);
  // Null where the layer ends in floats.
  const SumStage* sum_signs() const { return bound_.empty() ? nullptr : &sum_signs_; }

  void finish_counts(const CountRows& counts, const Results& to) const noexcept;
  // v: [n][stride], may be overwritten.
  void finish_floats(const Workspace& workspace, size_t first, const float* v, size_t n = 1,
                     size_t stride = 0) const noexcept;

 private:
  void read_steps(const OpInput& input);
  void read_thresholds(const OpInput& input, const CountBases& counts);
  void read_counts(const OpInput& input, const CountBases& counts);
  // Fills a table of floats_.steps; `rest` stands behind the channels.
  void set_step(Step step, const float* values, float rest);
  float step(Step which, size_t c) const {
    return steps_[(c / kFloatBlock * kSteps + which) * kFloatBlock + c % kFloatBlock];
  }
  float value_of(size_t c, int32_t sum) const;

  const Kernels& kernels_;
  uint32_t residual_, out_f32_, out_bits_;
  size_t channels_, bits_row_bytes_ = 0, bits_plane_bytes_ = 0;
  bool has_thresholds_ = false;
  AlignedVector<uint16_t> limit_;  // [class][padded]
  AlignedVector<uint8_t> flip_;    // [class][padded / 8]
  AlignedVector<uint8_t> tile_limits_;
  AlignedVector<int32_t> base_;   // [class][padded]
  AlignedVector<int32_t> bound_;  // [padded], of sum_signs_
  AlignedVector<float> steps_, no_residual_;
  ThresholdStage thresholds_{};
  FloatStage floats_{};
  SumStage sum_signs_{};
};

}  // namespace bifast

#endif  // BIFAST_OPS_OUTPUT_STAGE_H_
