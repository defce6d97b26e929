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

template <size_t kLanes>
void quantise(const float* x, size_t n, float scale, float shift, uint8_t* out) {
  using V = Vec<float, kLanes>;
  const auto bytes = [&](V v) __attribute__((always_inline)) {
    const V y = v * scale + shift;
    const V low = y > V{} ? y : V{};  // 0 where y is no number
    const V clamped = low < V{} + 255.0f ? low : V{} + 255.0f;
    return __builtin_convertvector(__builtin_convertvector(clamped, Vec<int32_t, kLanes>),
                                   Vec<uint8_t, kLanes>);
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, bytes(load<V>(x + i)));
  if (i == n) return;
  float rest[kLanes] = {};
  __builtin_memcpy(rest, x + i, (n - i) * sizeof(float));
  const auto last = bytes(load<V>(rest));
  __builtin_memcpy(out + i, &last, n - i);
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_QUANTISE_H_
