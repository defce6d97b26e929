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
    bits_plane_bytes_ = bits.planes == 2 ? bits.plane_bytes() : 0;
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
  read_steps(input);
}

OutputStage::OutputStage(const OpInput& input, const CountBases& counts) : OutputStage(input) {
  if (input.spec.flip != kNone) {
    read_thresholds(input, counts);
  } else {
    read_counts(input, counts);
  }
}

void OutputStage::read_counts(const OpInput& input, const CountBases& counts) {
  floats_.plane_scale = input.spec.plane_scale;
  const size_t n_padded = padded(channels_);
  input.claim(counts.bases.size() * n_padded * sizeof(int32_t));
  base_.resize(counts.bases.size() * n_padded);
  for (size_t id = 0; id < counts.bases.size(); ++id) {
    std::copy_n(counts.bases[id].data(), channels_, base_.data() + id * n_padded);
  }
  floats_.base = base_.data();
}

void OutputStage::set_step(Step step, const float* values, float rest) {
  for (size_t c = 0; c < padded(channels_); ++c) {
    const size_t at = c / kFloatBlock * kSteps + step;
    steps_[at * kFloatBlock + c % kFloatBlock] = c < channels_ && values ? values[c] : rest;
  }
}

void OutputStage::read_steps(const OpInput& input) {
  const OpSpec& s = input.spec;
  input.claim((kSteps + 1) * padded(channels_) * sizeof(float));
  steps_.resize(kSteps * padded(channels_));
  no_residual_.assign(padded(channels_), -0.0f);  // changes no bit of what it is added to
  set_step(kScale, nullptr, 1.0f);
  set_step(kShift, nullptr, -0.0f);
  set_step(kSlope, nullptr, 1.0f);
  if (s.scale != kNone || s.shift != kNone) {
    set_step(kScale, input.floats(s.scale, "scale", 1, channels_).data(), 1.0f);
    set_step(kShift, input.floats(s.shift, "shift", 1, channels_).data(), -0.0f);
  }
  if (s.slope != kNone) {
    const bool shared = input.file.tensors[s.slope].cols == 1;
    std::vector<float> slope = input.floats(s.slope, "slope", 1, shared ? 1 : channels_);
    slope.resize(channels_, slope[0]);
    set_step(kSlope, slope.data(), 1.0f);
  }
  if (s.threshold != kNone) {
    input.require(out_bits_ != kNone, "threshold: expected out_bits with it");
    const size_t planes = bits_plane_bytes_ == 0 ? 1 : 2;
    const std::vector<float> bounds = input.floats(s.threshold, "threshold", planes, channels_);
    set_step(kBound, bounds.data(), 0.0f);
    if (planes == 2) set_step(kSecondBound, bounds.data() + channels_, 0.0f);
  }
  floats_.steps = steps_.data();
}

void OutputStage::read_thresholds(const OpInput& input, const CountBases& counts) {
  const OpSpec& s = input.spec;
  input.require(s.scale == kNone && s.shift == kNone && s.slope == kNone && s.residual == kNone &&
                    s.out_f32 == kNone,
                "flip excludes scale, shift, slope, residual and out_f32");
  input.require(bits_plane_bytes_ == 0 && input.input().planes == 1,
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
    limit_.resize(limit_.size() + n_padded, 65535);
    flip_.resize(flip_.size() + n_padded / 8, 0xFF);
    uint16_t* limits = limit_.data() + limit_.size() - n_padded;
    uint8_t* flips = flip_.data() + flip_.size() - n_padded / 8;
    for (size_t c = 0; c < channels_; ++c) {
      const int32_t limit = count_limit(base[c], threshold[c]);
      bool flipped = (flip[c / 8] >> (c % 8) & 1) != 0;
      // No count is small enough: every count is, flipped.
      if (limit < 0) flipped = !flipped;
      limits[c] = limit < 0 ? 65535 : static_cast<uint16_t>(std::min(limit, 65535));
      if (!flipped) flips[c / 8] &= static_cast<uint8_t>(~(1u << (c % 8)));
    }
  }
  has_thresholds_ = true;
  thresholds_ = {limit_.data(), flip_.data(), nullptr};
}

void OutputStage::tile_limits(const OpInput& input, size_t depth_bytes) {
  if (!has_thresholds_ || kernels_.tile_limits == nullptr) return;
  const size_t n_padded = padded(channels_);
  input.claim(limit_.size() * kTileLimitBytes);
  tile_limits_.resize(limit_.size() * kTileLimitBytes);
  for (size_t at = 0; at < limit_.size(); at += n_padded) {
    kernels_.tile_limits(limit_.data() + at, n_padded, depth_bytes,
                         tile_limits_.data() + at * kTileLimitBytes);
  }
  thresholds_.tile_limits = tile_limits_.data();
}

// y of a layer without residual.
float OutputStage::value_of(size_t c, int32_t sum) const {
  const float scaled = static_cast<float>(sum) * step(kScale, c);
  const float y = scaled + step(kShift, c);
  return y >= 0.0f ? y : y * step(kSlope, c);
}

// y rises or falls with the sum, so each channel's sign changes at one sum, which is found by
// halving.
void OutputStage::find_sum_signs(const OpInput& input, int32_t largest) {
  if (out_f32_ != kNone || residual_ != kNone || bits_plane_bytes_ != 0) return;
  for (size_t c = 0; c < channels_; ++c) {
    const bool ends = std::isfinite(value_of(c, largest)) && std::isfinite(value_of(c, -largest));
    if (!ends || !(step(kSlope, c) >= 0.0f) || std::isnan(step(kBound, c))) return;
  }
  input.claim(padded(channels_) * (sizeof(int32_t) + 1));
  bound_.assign(padded(channels_), INT32_MAX);
  flip_.assign(padded(channels_) / 8, 0);
  for (size_t c = 0; c < channels_; ++c) {
    const auto bit = [&](int32_t sum) { return value_of(c, sum) >= step(kBound, c); };
    int64_t low = -int64_t{largest}, high = largest;
    const bool first = bit(-largest);
    if (first) flip_[c / 8] |= static_cast<uint8_t>(1u << (c % 8));
    if (bit(largest) == first) continue;  // no sum is more than the bound
    while (high - 1 > low) {
      const int64_t middle = (low + high) / 2;
      (bit(static_cast<int32_t>(middle)) == first ? low : high) = middle;
    }
    bound_[c] = static_cast<int32_t>(low);
  }
  sum_signs_ = {bound_.data(), flip_.data()};
}

Results OutputStage::results(const Workspace& workspace, size_t first, size_t n,
                             const uint32_t* classes) const noexcept {
  Results to{n,       channels_, classes,         no_residual_.data(), 0,
             nullptr, nullptr,   bits_row_bytes_, bits_plane_bytes_};
  if (residual_ != kNone) {
    to.residual = workspace.buffer<float>(residual_) + first * channels_;
    to.residual_stride = channels_;
  }
  if (out_f32_ != kNone) to.y = workspace.buffer<float>(out_f32_) + first * channels_;
  if (out_bits_ != kNone) {
    to.bits = workspace.buffer<uint8_t>(out_bits_) + first * bits_row_bytes_;
  }
  return to;
}

void OutputStage::finish_counts(const CountRows& counts, const Results& to) const noexcept {
  if (has_thresholds_) {
    kernels_.count_thresholds(&counts, &thresholds_, &to);
  } else {
    kernels_.count_floats(&counts, &floats_, &to);
  }
}

void OutputStage::finish_floats(const Workspace& workspace, size_t first, const float* v, size_t n,
                                size_t stride) const noexcept {
  const FloatRows rows{v, stride};
  const Results to = results(workspace, first, n, nullptr);
  kernels_.float_rows(&rows, &floats_, &to);
}

}  // namespace bifast
