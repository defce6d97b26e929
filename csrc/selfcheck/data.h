// What the self-check's kernels run on: reproducible data, panels, and the comparison.
#ifndef BIFAST_SELFCHECK_DATA_H_
#define BIFAST_SELFCHECK_DATA_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "align.h"
#include "bifast.h"
#include "error.h"
#include "kernels/kernels.h"

namespace bifast::selfcheck {

inline constexpr size_t kGuard = 64;  // elements after each result that must stay as they were

// splitmix64: a fixed sequence on every platform.
class Random {
 public:
  uint64_t word() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // Multiples of 2^-20 in [-4, 4), with zeros of both signs among them.
  float real() {
    const uint64_t w = word();
    if (w % 16 == 0) return w & 16 ? 0.0f : -0.0f;
    return static_cast<float>(static_cast<int32_t>(w >> 41) - (1 << 22)) / (1 << 20);
  }
  std::vector<float> reals(size_t n) {
    std::vector<float> values(n);
    for (float& value : values) value = real();
    return values;
  }
  template <typename T>
  std::vector<T> integers(size_t n) {
    std::vector<T> values(n);
    for (T& value : values) value = static_cast<T>(word());
    return values;
  }

 private:
  uint64_t state_ = 20;
};

struct Place {
  const Kernels& kernels;
  const char* kernel;
};

// Nine digits tell any two floats apart.
inline std::string shown(double value) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%.9g", value);
  return digits;
}

template <typename T>
void expect_same(const Place& place, const std::string& shape, const std::vector<T>& expected,
                 const std::vector<T>& got) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::memcmp(&expected[i], &got[i], sizeof(T)) == 0) continue;
    throw Error(BIFAST_INTERNAL, std::string(place.kernels.name) + " " + place.kernel + " (" +
                                     shape + "): element " + std::to_string(i) + " is " +
                                     shown(got[i]) + ", expected " + shown(expected[i]) +
                                     " as scalar gives");
  }
}

inline std::string text(const char* name, size_t value) {
  return std::string(name) + "=" + std::to_string(value);
}

// Rows of weights to the panels of an instruction set.
inline std::vector<uint8_t> retile(const std::vector<uint8_t>& rows, size_t depth_bytes,
                                   const Kernels& kernels) {
  const size_t cols = rows.size() / depth_bytes;
  std::vector<uint8_t> panel;
  for (size_t c = 0; c < cols; c += kernels.tile_cols) {
    for (size_t k = 0; k < depth_bytes; k += kernels.tile_bytes) {
      for (size_t i = 0; i < kernels.tile_cols; ++i) {
        const auto from = rows.begin() + static_cast<std::ptrdiff_t>((c + i) * depth_bytes + k);
        panel.insert(panel.end(), from, from + static_cast<std::ptrdiff_t>(kernels.tile_bytes));
      }
    }
  }
  panel.resize(panel.size() + kPanelSlack);
  return panel;
}

// What a layer ends in, with random tables for three classes of positions, and room for its
// results. Bits of `steps`: 1 scale and shift, 2 slope, 4 residual, 8 residual in place, 16 floats,
// 32 bits, 64 a second plane of them.
class Ending {
 public:
  static constexpr unsigned kCombinations = 128;

  Ending(Random& random, size_t rows, size_t channels, unsigned steps)
      : steps_(steps),
        bits_stride_((channels + 7) / 8 + random.word() % 3 * 9),
        rows_(rows),
        channels_(channels),
        padded_(round_up(channels, kColumnBlock)),
        limit_(random.integers<uint16_t>(3 * padded_)),
        flip_(random.integers<uint8_t>(3 * padded_ / 8)),
        base_(random.integers<int32_t>(3 * padded_)),
        classes_(random.integers<uint32_t>(rows)),
        table_(random.reals(kSteps * padded_)),
        none_(padded_, -0.0f),
        residual_(random.reals(rows * channels)) {
    for (int32_t& value : base_) value &= 0xFFFF;
    const float neutral[] = {1.0f, -0.0f, 1.0f};
    for (size_t i = 0; i < table_.size(); ++i) {
      const size_t step = i / kFloatBlock % kSteps;
      const bool left_out = step == kSlope ? (steps & 2) == 0 : step < kSlope && (steps & 1) == 0;
      if (left_out) table_[i] = neutral[step];
    }
    for (uint32_t& id : classes_) id %= 3;
    for (size_t i = 0; i < limit_.size(); ++i) {
      if (i % padded_ < channels) continue;
      limit_[i] = 65535;
      flip_[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
    }
  }

  // Limits near counts of `depth` bits, so that every outcome happens.
  void set_depth(size_t depth) {
    for (size_t i = 0; i < limit_.size(); ++i) {
      if (i % padded_ < channels_) limit_[i] = static_cast<uint16_t>(limit_[i] % (depth + 1));
    }
    limit_[0] = static_cast<uint16_t>(depth - 1);  // the one count above it is the largest
  }

  size_t channels() const { return channels_; }
  size_t class_of(size_t row) const { return steps_ % 3 == 0 ? 0 : classes_[row]; }
  void set_base(size_t class_id, size_t base) {
    std::fill_n(base_.begin() + static_cast<std::ptrdiff_t>(class_id * padded_), padded_,
                static_cast<int32_t>(base));
  }

  // Of a product of this depth.
  ThresholdStage thresholds(const Kernels& kernels, size_t depth_bytes) {
    tile_limits_.resize(limit_.size() * kTileLimitBytes);
    for (size_t at = 0; at < limit_.size() && kernels.tile_limits != nullptr; at += padded_) {
      kernels.tile_limits(limit_.data() + at, padded_, depth_bytes,
                          tile_limits_.data() + at * kTileLimitBytes);
    }
    return {limit_.data(), flip_.data(), tile_limits_.data()};
  }
  ThresholdStage thresholds() const { return {limit_.data(), flip_.data(), nullptr}; }
  FloatStage floats() const { return {base_.data(), 0.375f, table_.data()}; }

  struct Output {
    std::vector<float> y;
    std::vector<uint8_t> bits;
  };
  // In place the residual's values are there before.
  Output output() const {
    Output out{residual_, std::vector<uint8_t>(2 * plane_bytes() + kGuard, 0xAB)};
    out.y.resize(out.y.size() + kGuard, 123.0f);
    return out;
  }
  Results results(Output& out, bool floats = true) const {
    const bool y = floats && (steps_ & 16) != 0, residual = floats && (steps_ & 4) != 0;
    const bool in_place = y && (steps_ & 8) != 0, bits = !floats || (steps_ & 32) != 0;
    return {rows_,
            channels_,
            steps_ % 3 == 0 ? nullptr : classes_.data(),
            !residual  ? none_.data()
            : in_place ? out.y.data()
                       : residual_.data(),
            residual ? channels_ : 0,
            y ? out.y.data() : nullptr,
            bits ? out.bits.data() : nullptr,
            bits_stride_,
            floats && (steps_ & 64) != 0 ? plane_bytes() : 0};
  }

 private:
  size_t plane_bytes() const { return rows_ * bits_stride_ + 5; }

  unsigned steps_;
  size_t bits_stride_, rows_, channels_, padded_;
  std::vector<uint16_t> limit_;
  std::vector<uint8_t> flip_, tile_limits_;
  std::vector<int32_t> base_;
  std::vector<uint32_t> classes_;
  std::vector<float> table_, none_, residual_;
};

// Runs run(kernels, results) with both and compares everything they wrote.
template <typename Run>
void compare(const Place& place, const Kernels& scalar, const std::string& shape,
             const Ending& ending, bool floats, const Run& run) {
  Ending::Output expected = ending.output(), got = ending.output();
  const Results to_expected = ending.results(expected, floats);
  const Results to_got = ending.results(got, floats);
  run(scalar, to_expected);
  run(place.kernels, to_got);
  expect_same(place, shape + " floats", expected.y, got.y);
  expect_same(place, shape + " bits", expected.bits, got.bits);
}

}  // namespace bifast::selfcheck

#endif  // BIFAST_SELFCHECK_DATA_H_
