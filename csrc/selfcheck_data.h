// What the self-check's kernels run on: reproducible data, panels, and the comparison.
#ifndef BIFAST_SELFCHECK_DATA_H_
#define BIFAST_SELFCHECK_DATA_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

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

// Canonical rows of weights to the panels of an instruction set.
inline std::vector<uint8_t> retile(const std::vector<uint8_t>& rows, size_t cols,
                                   size_t depth_bytes, const Kernels& kernels) {
  std::vector<uint8_t> panel;
  for (size_t c = 0; c < cols; c += kernels.tile_cols) {
    for (size_t k = 0; k < depth_bytes; k += kernels.tile_bytes) {
      for (size_t i = 0; i < kernels.tile_cols; ++i) {
        const auto from = rows.begin() + static_cast<std::ptrdiff_t>((c + i) * depth_bytes + k);
        panel.insert(panel.end(), from, from + static_cast<std::ptrdiff_t>(kernels.tile_bytes));
      }
    }
  }
  return panel;
}

}  // namespace bifast::selfcheck

#endif  // BIFAST_SELFCHECK_DATA_H_
