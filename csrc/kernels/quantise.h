// Floats to bytes for every instruction set: one expression, which each file compiles for its own
// lanes.
#ifndef BIFAST_KERNELS_QUANTISE_H_
#define BIFAST_KERNELS_QUANTISE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/lanes.h"

namespace bifast {
namespace {

// Isa::put_bytes(y, to) makes bytes of four registers of floats that are none above 255: what is
// below 0 or no number becomes 0.
template <typename Isa>
void quantise(const float* x, size_t n, float scale, float shift, uint8_t* out) {
  using V = Vec<float, Isa::kLanes>;
  constexpr size_t kStep = 4 * Isa::kLanes;
  const auto bytes = [&](const float* from, uint8_t* to) __attribute__((always_inline)) {
    V y[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      const V v = load<V>(from + i * Isa::kLanes) * scale + shift;
      y[i] = v > V{} + 255.0f ? V{} + 255.0f : v;
    }
    Isa::put_bytes(y, to);
  };
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) bytes(x + i, out + i);
  if (i == n) return;
  float rest[kStep] = {};
  uint8_t last[kStep];
  __builtin_memcpy(rest, x + i, (n - i) * sizeof(float));
  bytes(rest, last);
  __builtin_memcpy(out + i, last, n - i);
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_QUANTISE_H_
