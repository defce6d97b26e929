// The end of every layer: thresholds, or affine map, PReLU, residual and signs.
#include "ops/output_stage.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace bifast {
namespace {

// The largest p with base - 2 p >= threshold; negative if there is none.
int32_t count_limit(int32_t base, int32_t threshold) {
  const int32_t room = base - threshold;
  return room < 0 ? -1 : room / 2;
}

// Channels whose signs are made at once; a multiple of 8.
constexpr size_t kSignBlock = 256;

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
    input.require(file.buffers[out_f32_].is_floats(), "out_f32 is not a float buffer");
  if (out_bits_ != kNone) {
    const BufferSpec& bits = file.buffers[out_bits_];
    input.require(bits.is_bits, "out_bits is not a buffer of bits");
    input.require(bits.same_shape(out), "out_f32 and out_bits differ in shape");
    input.require(out_bits_ != input.spec.input, "out_bits is its own input");
    bits_row_bytes_ = bits.row_bytes();
    bits_plane_bytes_ = bits.plane_bytes();
    planes_ = bits.planes;
  }
  if (residual_ != kNone) {
    const BufferSpec& residual = file.buffers[residual_];
    input.require(residual.is_floats() && residual.same_shape(out),
                  "residual: expected floats of the output's shape");
  }
  const float s = input.spec.plane_scale;
  input.require(
      input.input().planes == 2 ? std::isfinite(s) && s > 0.0f : std::bit_cast<uint32_t>(s) == 0,
      "plane_scale: expected a positive number for an input of two planes, else 0");
  if (input.spec.flip != kNone) return;
  read_affine(input);
  read_sign_thresholds(input);
}

OutputStage::OutputStage(const OpInput& input, const CountBases& counts) : OutputStage(input) {
  if (input.spec.flip != kNone) {
    read_thresholds(input, counts);
  } else {
    read_counts(input, counts);
  }
}

void OutputStage::read_counts(const OpInput& input, const CountBases& counts) {
  bases_ = counts.bases;
  if (input.input().planes == 1) return;
  input.claim(2 * channels_ * sizeof(float));
  plane_scale_.assign(channels_, input.spec.plane_scale);
  plane_shift_.assign(channels_, 0.0f);  // changes nothing: the product is added to the first sum
  plane_affine_ = {plane_scale_.data(), plane_shift_.data(), nullptr};
}

void OutputStage::read_sign_thresholds(const OpInput& input) {
  const uint32_t id = input.spec.threshold;
  if (id != kNone) {
    input.require(out_bits_ != kNone, "threshold: expected out_bits with it");
    sign_thresholds_ = input.floats(id, "threshold", planes_, channels_);
  } else if (planes_ == 2) {
    input.claim(planes_ * channels_ * sizeof(float));
    sign_thresholds_.assign(planes_ * channels_, 0.0f);
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
                "flip excludes scale, shift, slope, residual and out_f32");
  input.require(planes_ == 1 && input.input().planes == 1,
                "integer thresholds are for one plane in and one out");
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
                                const uint16_t* p, const uint16_t* second,
                                float* row) const noexcept {
  if (!thresholds_.empty()) {
    const ThresholdTable& table = thresholds_[class_id];
    uint8_t* bits = workspace.buffer<uint8_t>(out_bits_) + position * bits_row_bytes_;
    // A row of 16-byte units may end 8 bytes past the tables, which cover 64 channels a block.
    const size_t covered = std::min(bits_row_bytes_, table.flip.size());
    kernels_.threshold_row(p, table.limit.data(), table.flip.data(), bits, covered);
    std::memset(bits + covered, 0, bits_row_bytes_ - covered);
    return;
  }
  const int32_t* base = bases_[class_id].data();
  if (second != nullptr) {
    const Affine none{};
    kernels_.affine_counts(p, base, &none, nullptr, row, channels_);
    kernels_.affine_counts(second, base, &plane_affine_, row, row, channels_);
    finish_floats(workspace, position, row);
    return;
  }
  float* y = out_f32_ == kNone ? row : float_row(workspace, position);
  kernels_.affine_counts(p, base, &affine_, residual_row(workspace, position), y, channels_);
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
  uint8_t* bits = workspace.buffer<uint8_t>(out_bits_) + position * bits_row_bytes_;
  if (sign_thresholds_.empty()) {
    kernels_.sign_row(y, channels_, bits, bits_row_bytes_);
  } else {
    write_planes(y, bits);
  }
}

void OutputStage::write_planes(const float* y, uint8_t* bits) const noexcept {
  float signs[2][kSignBlock];
  for (size_t start = 0; start < channels_; start += kSignBlock) {
    const size_t n = std::min(kSignBlock, channels_ - start), at = start / 8;
    const size_t n_bytes = start + n == channels_ ? bits_row_bytes_ - at : n / 8;
    const float* threshold = sign_thresholds_.data() + start;
    for (size_t c = 0; c < n; ++c) signs[0][c] = y[start + c] >= threshold[c] ? 1.0f : -1.0f;
    kernels_.sign_row(signs[0], n, bits + at, n_bytes);
    if (planes_ == 1) continue;
    threshold += channels_;
    for (size_t c = 0; c < n; ++c) {
      signs[1][c] = y[start + c] - signs[0][c] >= threshold[c] ? 1.0f : -1.0f;
    }
    kernels_.sign_row(signs[1], n, bits + bits_plane_bytes_ + at, n_bytes);
  }
}

}  // namespace bifast
