// Rows of activations, four at a time, to bits: what is around the tiles of neon_tiles.h.
#ifndef BIFAST_KERNELS_NEON_BITS_H_
#define BIFAST_KERNELS_NEON_BITS_H_

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/neon_tiles.h"
#include "kernels/products.h"
#include "kernels/stages.h"

namespace bifast {
namespace {

constexpr size_t kBlock = 16;      // bytes of depth in one vector
constexpr size_t kGroupTiles = 8;  // of a product with thresholds
constexpr size_t kGroup = 4 * kGroupTiles;
constexpr size_t kMostRows = 32;
constexpr size_t kTileLimits = 4 * kTileLimitBytes;  // bytes

// One block: u8, four channels four times. More: u16, four times too.
void tile_limits(const uint16_t* limit, size_t padded_channels, size_t depth_bytes, uint8_t* to) {
  const bool bytes = depth_bytes == kBlock;
  const uint16_t most = bytes ? 0xFF : 0x7FFF;  // no count is higher
  for (size_t c = 0; c < padded_channels; ++c) {
    const size_t row = grouped_row(c, 4, kGroupTiles);
    const uint16_t value = limit[c] < most ? limit[c] : most;
    for (size_t copy = 0; copy < 4; ++copy) {
      uint8_t* at = to + row / 4 * kTileLimits + (4 * copy + row % 4) * (bytes ? 1 : 2);
      __builtin_memcpy(at, &value, bytes ? 1 : 2);
    }
  }
}

// Limits of four rows from those of their classes; FourLimits holds those of one row.
template <typename FourLimits>
void mix_limits(const uint8_t* const* classes, size_t tiles, uint8_t* to) {
  for (size_t tile = 0; tile < tiles; ++tile, to += kTileLimits) {
    for (size_t r = 0; r < 4; ++r) {
      store(to + r * sizeof(FourLimits), load<FourLimits>(classes[r] + tile * kTileLimits));
    }
  }
}

// Activations as tiles take them.
inline void copy_tiles(const uint8_t* a, size_t stride, size_t rows, size_t blocks,
                       uint8x16_t* to) {
  for (size_t r = 0; r < rows; r += 4, a += 4 * stride) {
    const uint8x16_t* start = to;
    for (size_t k = 0; k < blocks; ++k) {
      for (size_t i = 0; i < 4; ++i) *to++ = vld1q_u8(a + i * stride + kBlock * k);
    }
    if (blocks <= 2) continue;
    for (size_t i = 0; i < 4; ++i) *to++ = start[i];
  }
}

// Bits of 64 channels of four rows.
struct FourWords {
  uint64x2_t low, high;

  // Of two groups.
  static FourWords of(const uint8_t* found) {
    const auto left = load<uint32x4_t>(found), right = load<uint32x4_t>(found + 16);
    return {vreinterpretq_u64_u32(vzip1q_u32(left, right)),
            vreinterpretq_u64_u32(vzip2q_u32(left, right))};
  }
  FourWords not_xor(const FourWords& flip) const {
    return {veorq_u64(low, vreinterpretq_u64_u8(vmvnq_u8(vreinterpretq_u8_u64(flip.low)))),
            veorq_u64(high, vreinterpretq_u64_u8(vmvnq_u8(vreinterpretq_u8_u64(flip.high))))};
  }
};

// The last channels, of which there may be one group.
[[gnu::noinline]] void put_last_bits(const Results& to, size_t row, size_t c, FourWords words) {
  const uint64_t there = to.channels - c > kGroup ? ~uint64_t{0} : ~uint64_t{0} >> kGroup;
  uint8_t* bits = to.bits + row * to.bits_stride;
  for (size_t i = 0; i < 4; ++i, bits += to.bits_stride) {
    store_bits(to, bits, c, there & (i < 2 ? words.low[i] : words.high[i - 2]));
  }
}

// n <= kCountCols channels from `first` on. flips: of row i % 4.
[[gnu::always_inline]] inline void put_bits(const Results& to, const uint8_t* const* flips,
                                            size_t row, size_t rows, size_t first, size_t n,
                                            const uint8_t* found) {
  const size_t step = (n + kGroup - 1) / kGroup * 16, stride = to.bits_stride;
  uint8_t* to_bits = to.bits + row * stride + first / 8;
  for (size_t c = 0; c < n; c += kColumnBlock) {
    const auto flip = [&](size_t i) { return load<uint64_t>(flips[i] + c / 8); };
    const FourWords flip_words{{flip(0), flip(1)}, {flip(2), flip(3)}};
    const bool whole = c + kColumnBlock < n || (c + kGroup < n && stride == (first + c) / 8 + 8);
    const uint8_t* from = found + c / 2;
    uint8_t* bits = to_bits + c / 8;
    for (size_t r = 0; r < rows; r += 4, from += step, bits += 4 * stride) {
      const FourWords words = FourWords::of(from).not_xor(flip_words);
      if (!whole) {
        put_last_bits(to, row + r, first + c, words);
        continue;
      }
      vst1_u64(reinterpret_cast<uint64_t*>(bits), vget_low_u64(words.low));
      vst1q_lane_u64(reinterpret_cast<uint64_t*>(bits + stride), words.low, 1);
      vst1_u64(reinterpret_cast<uint64_t*>(bits + 2 * stride), vget_low_u64(words.high));
      vst1q_lane_u64(reinterpret_cast<uint64_t*>(bits + 3 * stride), words.high, 1);
    }
  }
}

// rows: a multiple of four, at most kMostRows, and four where their tables differ (kClasses);
// n <= kCountCols channels.
template <size_t kBlocks, bool kClasses>
[[gnu::noinline]] void grouped_rows(const BinaryProduct& product, const ThresholdStage& stage,
                                    const Results& to, size_t row, size_t rows, size_t first,
                                    size_t n) {
  const size_t blocks = kBlocks == kMostBlocks ? product.depth_bytes / kBlock : kBlocks;
  constexpr size_t kMost = kClasses ? 4 : kMostRows;
  uint8x16_t copy[kMost * (kBlocks + (kBlocks > 2))];
  alignas(16) uint8_t found[16 * (1 + kMost / 4 * kCountCols / kGroup) + 16];
  alignas(16) uint8_t mixed[kClasses ? kCountCols * kTileLimitBytes : 1];
  const size_t groups = (n + kGroup - 1) / kGroup;
  const uint8_t* a = product.a + row * product.stride;
  if (kBlocks != 1 || product.stride != kBlock) {
    copy_tiles(a, product.stride, rows, blocks, copy);
    a = reinterpret_cast<const uint8_t*>(copy);
  }
  const uint8_t *limits[4], *flips[4];
  for (size_t i = 0; i < 4; ++i) {
    const size_t at = (kClasses ? to.classes[row + i] : 0) * padded(to.channels) + first;
    limits[i] = stage.tile_limits + at * kTileLimitBytes;
    flips[i] = stage.flip + at / 8;
  }
  if (kClasses) {
    const auto mix = kBlocks == 1 ? mix_limits<uint32_t> : mix_limits<uint64_t>;
    mix(limits, kGroupTiles * groups, mixed);
    limits[0] = mixed;
  }
  run_tiles<kBlocks>(
      {a, product.panel + first * product.depth_bytes, limits[0], rows, blocks, groups, found});
  put_bits(to, flips, row, rows, first, n, found + 16);
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_NEON_BITS_H_
