// The end of every layer: thresholds, or affine map, PReLU, residual and signs.
#include "ops/output_stage.h"

#include <algorithm>
#include <cstring>

namespace bifast {
namespace {

// The largest p with base - 2 p >= threshold; negative if there is none.
int32_t count_limit(int32_t base, int32_t threshold) {
  const int32_t room = base - threshold;
  return room < 0 ? -1 : room / 2;
}

}  // namespace

OutputStage::OutputStage(const OpInput& input)
    : kernels_(input.kernels),
      residual_(input.spec.residual),
      out_f32_(input.spec.out_f32),
      out_bits_(input.spec.out_bits),
      channels_(input.output().channels) {
  const ModelFile& file = input.file;
  const BufferSpec& out = input.output();
  if (out_f32_ != kNone)
    input.require(!file.buffers[out_f32_].is_bits, "out_f32 is not a float buffer");
  if (out_bits_ != kNone) {
    const BufferSpec& bits = file.buffers[out_bits_];
    input.require(bits.is_bits, "out_bits is not a buffer of bits");
    input.require(bits.same_shape(out), "out_f32 and out_bits differ in shape");
    input.require(out_bits_ != input.spec.input, "out_bits is its own input");
    bits_row_bytes_ = bits.row_bytes();
  }
  if (residual_ != kNone) {
    const BufferSpec& residual = file.buffers[residual_];
    input.require(!residual.is_bits && residual.same_shape(out),
                  "residual: expected floats of the output's shape");
  }
  const bool has_thresholds = input.spec.threshold != kNone || input.spec.flip != kNone;
  if (!has_thresholds) read_affine(input);
}

OutputStage::OutputStage(const OpInput& input, const CountBases& counts) : OutputStage(input) {
  if (input.spec.threshold != kNone || input.spec.flip != kNone) {
    read_thresholds(input, counts);
  } else {
    bases_ = counts.bases;
  }
}

void OutputStage::read_affine(const OpInput& input) {
  const OpSpec& s = input.spec;
  if (s.scale != kNone || s.shift != kNone) {
    scale_ = input.floats(s.scale, "scale", 1, channels_);
    shift_ = input.floats(s.shift, "shift", 1, channels_);
    affine_.scale = scale_.data();
    affine_.shift = shift_.data();
  }
  if (s.slope != kNone) {
    const bool shared = input.file.tensors[s.slope].cols == 1;
    slope_ = input.floats(s.slope, "slope", 1, shared ? 1 : channels_);
    if (shared) {
      input.claim(channels_ * sizeof(float));
      slope_.resize(channels_, slope_[0]);
    }
    affine_.slope = slope_.data();
  }
}

void OutputStage::read_thresholds(const OpInput& input, const CountBases& counts) {
  const OpSpec& s = input.spec;
  input.require(s.scale == kNone && s.shift == kNone && s.slope == kNone && s.residual == kNone &&
                    s.out_f32 == kNone,
                "thresholds exclude scale, shift, slope, residual and out_f32");
  const std::vector<int32_t> threshold = input.integers(s.threshold, "threshold", 1, channels_);
  const uint8_t* flip = input.bits(s.flip, "flip", 1, channels_).data;
  const auto depth = static_cast<int32_t>(counts.depth);
  for (const int32_t t : threshold) {
    input.require(t >= -depth && t <= depth + 1, "threshold: expected -K .. K + 1");
  }
  const size_t n_padded = padded(channels_);
  input.claim(counts.bases.size() * n_padded * (sizeof(uint16_t) + 1));
  for (const std::vector<int32_t>& base : counts.bases) {
    // Padding channels: always within the limit, flipped to 0.
    ThresholdTable table{std::vector<uint16_t>(n_padded, 65535),
                         std::vector<uint8_t>(n_padded / 8, 0xFF)};
    for (size_t c = 0; c < channels_; ++c) {
      const int32_t limit = count_limit(base[c], threshold[c]);
      bool flipped = (flip[c / 8] >> (c % 8) & 1) != 0;
      // No count is small enough: every count is, flipped.
      if (limit < 0) flipped = !flipped;
      table.limit[c] = limit < 0 ? 65535 : static_cast<uint16_t>(std::min(limit, 65535));
      if (!flipped) table.flip[c / 8] &= static_cast<uint8_t>(~(1u << (c % 8)));
    }
    thresholds_.push_back(std::move(table));
  }
}

void OutputStage::finish_counts(const Workspace& workspace, size_t position, size_t class_id,
                                const uint16_t* p, float* row) const noexcept {
  if (!thresholds_.empty()) {
    const ThresholdTable& table = thresholds_[class_id];
    uint8_t* bits = workspace.buffer<uint8_t>(out_bits_) + position * bits_row_bytes_;
    // A row of 16-byte units may end 8 bytes past the tables, which cover 64 channels a block.
    const size_t covered = std::min(bits_row_bytes_, table.flip.size());
    kernels_.threshold_row(p, table.limit.data(), table.flip.data(), bits, covered);
    std::memset(bits + covered, 0, bits_row_bytes_ - covered);
    return;
  }
  float* y = out_f32_ == kNone ? row : float_row(workspace, position);
  kernels_.affine_counts(p, bases_[class_id].data(), &affine_, residual_row(workspace, position), y,
                         channels_);
  write_signs(workspace, position, y);
}

void OutputStage::finish_floats(const Workspace& workspace, size_t position,
                                float* v) const noexcept {
  float* y = out_f32_ == kNone ? v : float_row(workspace, position);
  kernels_.affine_floats(v, &affine_, residual_row(workspace, position), y, channels_);
  write_signs(workspace, position, y);
}

float* OutputStage::float_row(const Workspace& workspace, size_t position) const noexcept {
  return workspace.buffer<float>(out_f32_) + position * channels_;
}

const float* OutputStage::residual_row(const Workspace& workspace, size_t position) const noexcept {
  return residual_ == kNone ? nullptr : workspace.buffer<float>(residual_) + position * channels_;
}

void OutputStage::write_signs(const Workspace& workspace, size_t position,
                              const float* y) const noexcept {
  if (out_bits_ == kNone) return;
  kernels_.sign_row(y, channels_, workspace.buffer<uint8_t>(out_bits_) + position * bits_row_bytes_,
                    bits_row_bytes_);
}

}  // namespace bifast
