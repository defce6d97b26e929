// NEON: every AArch64 CPU.
//
// Binary product: eor, cnt, add on bytes. Rows and channels are contiguous along the depth and form
//   tiles of 4 x 4, so 8 loads feed 16 blocks of 128 bits. The 16 count vectors of a tile end in a
//   tree of pairwise additions (addp) that leaves the 16 results in order: 22 operations, where
//   adding up each vector by itself (uaddlv) would take 16 slow ones and as many moves.
// Throughput: 3 vector operations a block (128 multiply-adds): 3 cycles on Cortex-A53 and A55 (one
//   128-bit operation a cycle), 1.5 on A72, A76 and N1 (two pipes), 0.75 on X1 and V1 (four).
// Limit: the vector pipes. Registers: 16 counts, 8 operands and a few temporaries of 32.
// Lanes are u8: 15 blocks of depth (15 * 8 = 120), so that one level of addp (240) still fits.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/neon_bits.h"
#include "kernels/neon_bytes.h"
#include "kernels/table.h"

namespace bifast {
namespace {

constexpr size_t kChunk = 15;      // blocks of u8 counts
constexpr size_t kShortChunk = 3;  // blocks whose counts stay u8 for three levels: 3 * 8 * 8 = 192

// Two vectors of four channels' partial sums each become one, in order.
inline uint16x8_t last_level(uint8x16_t even_row, uint8x16_t odd_row) {
  return vpaddlq_u8(vpaddq_u8(even_row, odd_row));
}

// The four channels' sums of two rows, from count vectors of one row after another.
inline uint16x8_t sum_short(const uint8x16_t* even_row, const uint8x16_t* odd_row) {
  return last_level(
      vpaddq_u8(vpaddq_u8(even_row[0], even_row[1]), vpaddq_u8(even_row[2], even_row[3])),
      vpaddq_u8(vpaddq_u8(odd_row[0], odd_row[1]), vpaddq_u8(odd_row[2], odd_row[3])));
}

inline uint16x8_t sum_pair(uint8x16_t a, uint8x16_t b) { return vpaddlq_u8(vpaddq_u8(a, b)); }

inline uint16x8_t sum_long(const uint8x16_t* even_row, const uint8x16_t* odd_row) {
  return vpaddq_u16(
      vpaddq_u16(sum_pair(even_row[0], even_row[1]), sum_pair(even_row[2], even_row[3])),
      vpaddq_u16(sum_pair(odd_row[0], odd_row[1]), sum_pair(odd_row[2], odd_row[3])));
}

// Four sums, kStep apart.
template <size_t kStep>
inline void store_row(uint16x4_t sums, uint16_t* p, bool add) {
  if constexpr (kStep == 1) {
    vst1_u16(p, add ? vadd_u16(vld1_u16(p), sums) : sums);
  } else {
    uint16_t four[4];
    vst1_u16(four, sums);
    for (size_t i = 0; i < 4; ++i) {
      p[i * kStep] = static_cast<uint16_t>(add ? p[i * kStep] + four[i] : four[i]);
    }
  }
}

// kRows x 4 outputs, kStep apart, over `blocks` <= kChunk blocks of depth.
template <size_t kRows, size_t kStep>
inline void tile(const uint8_t* a, size_t a_stride, const uint8_t* panel, size_t blocks,
                 uint16_t* p, size_t p_stride, bool add) {
  uint8x16_t counts[kRows][4];
  {
    const uint8x16_t w0 = vld1q_u8(panel), w1 = vld1q_u8(panel + 16);
    const uint8x16_t w2 = vld1q_u8(panel + 32), w3 = vld1q_u8(panel + 48);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      const uint8x16_t x = vld1q_u8(a + r * a_stride);
      counts[r][0] = vcntq_u8(veorq_u8(x, w0));
      counts[r][1] = vcntq_u8(veorq_u8(x, w1));
      counts[r][2] = vcntq_u8(veorq_u8(x, w2));
      counts[r][3] = vcntq_u8(veorq_u8(x, w3));
    }
  }
  for (size_t k = 1; k < blocks; ++k) {
    const uint8_t* w = panel + 4 * kBlock * k;
    const uint8x16_t w0 = vld1q_u8(w), w1 = vld1q_u8(w + 16);
    const uint8x16_t w2 = vld1q_u8(w + 32), w3 = vld1q_u8(w + 48);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      uint8x16_t x = vld1q_u8(a + r * a_stride + kBlock * k);
      counts[r][0] = vaddq_u8(counts[r][0], vcntq_u8(veorq_u8(x, w0)));
      counts[r][1] = vaddq_u8(counts[r][1], vcntq_u8(veorq_u8(x, w1)));
      // No instruction: GCC 12 would start more counts than there are registers left.
      asm("" : "+w"(counts[r][0]), "+w"(counts[r][1]), "+w"(x));
      counts[r][2] = vaddq_u8(counts[r][2], vcntq_u8(veorq_u8(x, w2)));
      counts[r][3] = vaddq_u8(counts[r][3], vcntq_u8(veorq_u8(x, w3)));
    }
  }
#pragma GCC unroll 2
  for (size_t r = 0; r < kRows; r += 2) {
    const size_t odd = r + 1 < kRows ? r + 1 : r;
    const uint16x8_t sums = blocks <= kShortChunk ? sum_short(counts[r], counts[odd])
                                                  : sum_long(counts[r], counts[odd]);
    store_row<kStep>(vget_low_u16(sums), p + r * p_stride, add);
    if (odd != r) store_row<kStep>(vget_high_u16(sums), p + odd * p_stride, add);
  }
}

// Bit c = mask c of 64 byte masks (0 or 255): keeps one bit of each byte and adds neighbours.
inline uint64_t pack_masks(uint8x16_t m0, uint8x16_t m1, uint8x16_t m2, uint8x16_t m3) {
  const uint8x8_t powers = vcreate_u8(0x8040201008040201u);
  const uint8x16_t select = vcombine_u8(powers, powers);
  const uint8x16_t low = vpaddq_u8(vandq_u8(m0, select), vandq_u8(m1, select));
  const uint8x16_t high = vpaddq_u8(vandq_u8(m2, select), vandq_u8(m3, select));
  const uint8x16_t fours = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(fours, fours)), 0);
}

inline uint8x16_t at_most_16(const uint16_t* p, const uint16_t* limit) {
  const uint16x8_t low = vcleq_u16(vld1q_u16(p), vld1q_u16(limit));
  const uint16x8_t high = vcleq_u16(vld1q_u16(p + 8), vld1q_u16(limit + 8));
  return vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
}

template <size_t kRows, size_t kStep>
[[gnu::noinline]] void count_tiles(const uint8_t* a, size_t stride, const uint8_t* panel,
                                   size_t depth_bytes, size_t cols,
                                   Counts<kRows, uint16_t>& counts) {
  const size_t blocks = depth_bytes / kBlock;
  for (size_t c = 0; c < cols; c += 4, panel += 4 * depth_bytes) {
    const size_t first = kStep == 1 ? c : c / kGroup * kGroup + c % kGroup / 4;
    for (size_t k = 0; k < blocks; k += kChunk) {
      const size_t chunk = blocks - k < kChunk ? blocks - k : kChunk;
      tile<kRows, kStep>(a + kBlock * k, stride, panel + 4 * kBlock * k, chunk, counts.p[0] + first,
                         kCountCols, k != 0);
    }
  }
}

// Bit c = lane c of four vectors of masks.
inline uint32_t pack_lanes(uint32x4_t m0, uint32x4_t m1, uint32x4_t m2, uint32x4_t m3) {
  const uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u32(m0), vreinterpretq_u16_u32(m1));
  const uint16x8_t high = vuzp1q_u16(vreinterpretq_u16_u32(m2), vreinterpretq_u16_u32(m3));
  const uint8x16_t masks = vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
  return static_cast<uint32_t>(pack_masks(masks, masks, masks, masks) & 0xFFFF);
}

struct Neon {
  static constexpr size_t kTileCols = 4, kTileBytes = 16;
  static constexpr size_t kLanes = 4, kFloatRows = 4, kRowsOfFourSums = 1;
  using Bytes = NeonBytes;
  static constexpr size_t kByteRows = 2, kByteBlocks = 1;
  using FloatCount = uint16_t;
  static constexpr size_t kCountLanes = 8;

  // What the front-end fuses.
  static float32x4_t add_product(float32x4_t c, float32x4_t a, float32x4_t b) {
    return vfmaq_f32(c, a, b);
  }
  static float32x4_t subtract_product(float32x4_t c, float32x4_t a, float32x4_t b) {
    return vfmsq_f32(c, a, b);
  }
  static void keep(Vec<float, 4>& v) { asm("" : "+w"(v)); }

  template <size_t kRows>
  static void count(const uint8_t* a, size_t stride, const uint8_t* panel, size_t depth_bytes,
                    size_t cols, Counts<kRows, uint16_t>& counts) {
    count_tiles<kRows, 1>(a, stride, panel, depth_bytes, cols, counts);
  }

  static Vec<int32_t, 4> widen(const uint16_t* p) { return widen_counts<4>(p); }

  static uint64_t at_most(const uint16_t* p, const uint16_t* limit) {
    return pack_masks(at_most_16(p, limit), at_most_16(p + 16, limit + 16),
                      at_most_16(p + 32, limit + 32), at_most_16(p + 48, limit + 48));
  }

  static uint32_t at_least(const Vec<float, 4>* y, const Vec<float, 4>* bound) {
    const auto mask = [&](size_t i) {
      return vcgeq_f32(reinterpret_cast<float32x4_t>(y[i]),
                       reinterpret_cast<float32x4_t>(bound[i]));
    };
    return pack_lanes(mask(0), mask(1), mask(2), mask(3));
  }

  static uint32_t more_than(const Vec<int32_t, 4>* sum, const Vec<int32_t, 4>* bound) {
    const auto mask = [&](size_t i) {
      return vcgtq_s32(reinterpret_cast<int32x4_t>(sum[i]), reinterpret_cast<int32x4_t>(bound[i]));
    };
    return pack_lanes(mask(0), mask(1), mask(2), mask(3));
  }

  // 16 floats to bytes, none above 255, what is below 0 or no number to 0.
  static void put_bytes(const Vec<float, 4> (&y)[4], uint8_t* to) {
    const auto ints = [&](size_t i) { return vcvtq_u32_f32(reinterpret_cast<float32x4_t>(y[i])); };
    const uint16x8_t low = vcombine_u16(vmovn_u32(ints(0)), vmovn_u32(ints(1)));
    const uint16x8_t high = vcombine_u16(vmovn_u32(ints(2)), vmovn_u32(ints(3)));
    vst1q_u8(to, vcombine_u8(vmovn_u16(low), vmovn_u16(high)));
  }
};

// Channels in groups of tiles, counted as others are: rows that are less than four, deep ones.
struct NeonGroups : Neon {
  static constexpr size_t kTileCols = kGroup;

  template <size_t kRows>
  static void count(const uint8_t* a, size_t stride, const uint8_t* panel, size_t depth_bytes,
                    size_t cols, Counts<kRows, uint16_t>& counts) {
    count_tiles<kRows, kGroupTiles>(a, stride, panel, depth_bytes, cols, counts);
  }
};

// ---- thresholds ---------------------------------------------------------------------------------

// By way of counts in memory: rows that are less than four, and deep ones.
[[gnu::noinline]] void counted_rows(BinaryProduct product, ThresholdStage stage, Results to,
                                    size_t row) {
  for_rows<4>(to.rows - row, [&]<size_t kRows>(size_t r) __attribute__((always_inline)) {
    binary_rows<NeonGroups, false, kRows>(product, stage, to, row + r);
  });
}

template <size_t kBlocks>
void grouped_thresholds(const BinaryProduct& product, const ThresholdStage& stage,
                        const Results& to) {
  const size_t end = to.rows / 4 * 4;
  const bool classes = to.classes != nullptr;
  for (size_t row = 0; row < end;) {
    const size_t most = classes ? 4 : kMostRows, rows = end - row < most ? end - row : most;
    for (size_t c = 0; c < to.channels; c += kCountCols) {
      const size_t n = to.channels - c < kCountCols ? to.channels - c : kCountCols;
      const auto run = classes ? grouped_rows<kBlocks, true> : grouped_rows<kBlocks, false>;
      run(product, stage, to, row, rows, c, n);
    }
    row += rows;
  }
  if (end != to.rows) counted_rows(product, stage, to, end);
}

void grouped_thresholds(const BinaryProduct* product, const ThresholdStage* stage,
                        const Results* to) {
  const size_t blocks = product->depth_bytes / kBlock;
  if (blocks == 1) return grouped_thresholds<1>(*product, *stage, *to);
  if (blocks == 2) return grouped_thresholds<2>(*product, *stage, *to);
  if (blocks <= kMostBlocks) return grouped_thresholds<kMostBlocks>(*product, *stage, *to);
  counted_rows(*product, *stage, *to, 0);
}

}  // namespace

extern const Kernels neon_kernels;
constinit const Kernels neon_kernels = [] {
  Kernels kernels = kernels_of<Neon>("neon");
  kernels.group_tiles = kGroupTiles;
  kernels.tile_limits = tile_limits;
  kernels.binary_thresholds = grouped_thresholds;
  return kernels;
}();

}  // namespace bifast
