// Products of bytes on NEON: smull, smlal and sadalp, as every AArch64 CPU has them.
//
// Three operations for 16 products; a multiplication of 16-bit operands (smlal alone) takes four.
#ifndef BIFAST_KERNELS_NEON_BYTES_H_
#define BIFAST_KERNELS_NEON_BYTES_H_

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/lanes.h"

namespace bifast {
namespace {

// Bytes of activations less 128, so that both operands have signs: two products fit 16 bits unless
// both weights are -128, and neighbours are added to 32. Each channel has two lanes of sums.
struct NeonBytes {
  static constexpr size_t kChains = 1, kGroups = 2, kMostGroups = SIZE_MAX;
  struct Sums {
    int32x4_t low[4], high[4];  // of channels 4 v, 4 v + 1; of 4 v + 2, 4 v + 3
  };
  template <size_t n>
  struct Inputs {
    int8x16_t x[n];
    [[gnu::always_inline]] Inputs(const uint8_t* a, const uint32_t* offset) {
      for (size_t i = 0; i < n; ++i) {
        const uint32x4_t group = vdupq_n_u32(load<uint32_t>(a + offset[i]));
        x[i] = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(group), vdupq_n_u8(0x80)));
      }
    }
  };
  template <size_t n>
  [[gnu::always_inline]] static void add(Sums& sums, const Inputs<n>& x, const int8_t* w,
                                         size_t step) {
#pragma GCC unroll 4
    for (size_t v = 0; v < 4; ++v) {
      const int8x16_t first = vld1q_s8(w + 16 * v);
      int16x8_t low = vmull_s8(vget_low_s8(first), vget_low_s8(x.x[0]));
      int16x8_t high = vmull_high_s8(first, x.x[0]);
      if constexpr (n == 2) {
        const int8x16_t second = vld1q_s8(w + step + 16 * v);
        low = vmlal_s8(low, vget_low_s8(second), vget_low_s8(x.x[1]));
        high = vmlal_high_s8(high, second, x.x[1]);
      }
      sums.low[v] = vpadalq_s16(sums.low[v], low);
      sums.high[v] = vpadalq_s16(sums.high[v], high);
    }
  }
  static void join(Sums&, const Sums&) {}
  static Ints<4> to_ints(const Sums& sums, const int32_t* totals) {
    Ints<4> ints;
    for (size_t v = 0; v < 4; ++v) {
      const int32x4_t less = vshlq_n_s32(vld1q_s32(totals + 4 * v), 7);
      ints.v[v] =
          reinterpret_cast<Vec<int32_t, 4>>(vaddq_s32(vpaddq_s32(sums.low[v], sums.high[v]), less));
    }
    return ints;
  }
};

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_NEON_BYTES_H_
