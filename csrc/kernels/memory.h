// The memory of an FSMN block: bit-sliced counters, one channel in each bit.
//
// Isa (see stages.h) may have besides, for up to kFewTaps taps:
//   Spread(planes)             of 3 planes of 16 bytes
//   spread.sums(i, n_taps)     n_taps - 2 p of 16 channels, as floats
#ifndef BIFAST_KERNELS_MEMORY_H_
#define BIFAST_KERNELS_MEMORY_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/stages.h"

namespace bifast {
namespace {

// Plane i holds bit i of a counter for each channel. 28 taps a group: 28 <= 2^5 - 1.
inline constexpr size_t kPlanes = 5;
inline constexpr size_t kGroupTaps = 28;
inline constexpr size_t kFewTaps = 7;  // 3 planes

struct Taps {
  const uint8_t *x, *w;
  size_t x_step, w_step;
};

// sum + a + b per bit: leaves the low bit in sum and returns the carry.
template <typename W>
[[gnu::always_inline]] inline W full_add(W& sum, const W& a, const W& b) {
  const W half = sum ^ a;
  const W carry = (sum & a) | (half & b);
  sum = half ^ b;
  return carry;
}

template <size_t n_planes, typename W>
[[gnu::always_inline]] inline void ripple(W* planes, size_t from, W carry) {
#pragma GCC unroll 5
  for (size_t i = from; i < n_planes; ++i) {
    const W next = planes[i] & carry;
    planes[i] ^= carry;
    carry = next;
  }
}

// Counts the differing bits of n_taps < 2^n_planes taps, in sizeof(W) bytes.
template <size_t n_planes, typename W>
[[gnu::always_inline]] inline void count_taps(const Taps& taps, size_t n_taps, W* planes) {
  const auto differing = [&](size_t tap) __attribute__((always_inline)) -> W {
    return load<W>(taps.x + tap * taps.x_step) ^ load<W>(taps.w + tap * taps.w_step);
  };
  for (size_t i = 0; i < n_planes; ++i) planes[i] = W{};
  size_t tap = 0;
  for (; tap + 4 <= n_taps; tap += 4) {
    const W twos_a = full_add(planes[0], differing(tap), differing(tap + 1));
    const W twos_b = full_add(planes[0], differing(tap + 2), differing(tap + 3));
    ripple<n_planes>(planes, 2, full_add(planes[1], twos_a, twos_b));
  }
  for (; tap < n_taps; ++tap) ripple<n_planes>(planes, 0, differing(tap));
}

// Turns the planes into counts, kLanes (8 or 16) channels at a time, and stores or adds them.
template <size_t kLanes, typename W>
[[gnu::always_inline]] inline void spread(const W* planes, size_t n_planes, uint16_t* p, bool add) {
  using Lanes = Vec<uint16_t, kLanes>;
  Lanes select{};
  for (size_t i = 0; i < kLanes; ++i) select[i] = static_cast<uint16_t>(1u << i);
  uint8_t bytes[kPlanes][sizeof(W)];
  __builtin_memcpy(bytes, planes, sizeof(bytes));
  for (size_t at = 0; at < sizeof(W); at += kLanes / 8) {
    Lanes counts{};
    for (size_t i = n_planes; i-- > 0;) {
      uint16_t word = 0;
      __builtin_memcpy(&word, bytes[i] + at, kLanes / 8);
      // A true comparison is -1.
      counts = counts + counts - Lanes(((Lanes{} + word) & select) == select);
    }
    store(p + 8 * at, add ? load<Lanes>(p + 8 * at) + counts : counts);
  }
}

template <size_t kLanes, typename W>
[[gnu::always_inline]] inline void memory_columns(Taps taps, size_t n_taps, uint16_t* p) {
  bool add = false;
  do {
    const size_t group = n_taps < kGroupTaps ? n_taps : kGroupTaps;
    W planes[kPlanes];
    count_taps<kPlanes>(taps, group, planes);
    spread<kLanes>(planes, group < 8 ? 3 : group < 16 ? 4 : 5, p, add);
    n_taps -= group;
    taps.x += group * taps.x_step;
    taps.w += group * taps.w_step;
    add = true;
  } while (n_taps != 0);
}

template <size_t kLanes>
void memory_row(const uint8_t* x, size_t x_step, const uint8_t* w, size_t n_taps, uint16_t* p,
                size_t n_bytes) {
  size_t at = 0;
  for (; at + 16 <= n_bytes; at += 16) {
    memory_columns<kLanes, Vec<uint64_t, 2>>({x + at, w + at, x_step, n_bytes}, n_taps, p + 8 * at);
  }
  if (at < n_bytes) {
    memory_columns<kLanes, uint64_t>({x + at, w + at, x_step, n_bytes}, n_taps, p + 8 * at);
  }
}

// sizeof(W) bytes of one row with their end, many taps or no Spread: through counts in the cache.
template <typename Isa, typename W>
[[gnu::always_inline]] inline void finish_columns(const Taps& taps, size_t n_taps,
                                                  const FloatStage& stage, const Results& to,
                                                  size_t row, size_t c) {
  alignas(64) uint16_t p[8 * sizeof(W)];
  memory_columns<Isa::kCountLanes, W>(taps, n_taps, p);
  for (size_t i = 0; i < 8 * sizeof(W) && c + i < to.channels; i += kColumnBlock) {
    finish_counts<Isa, false>(stage, to, row, c + i, p + i, p + i);
  }
}

// The last channels of a row, less than 64.
template <typename Isa>
[[gnu::noinline]] void finish_last_spread(const typename Isa::Spread& spread, size_t n_taps,
                                          const FloatStage& stage, const Results& to, size_t row,
                                          size_t c, size_t first) {
  for (size_t i = 0; c + kFloatBlock * i < to.channels; ++i) {
    finish_block<Isa>(stage, to, row, c + kFloatBlock * i, spread.sums(first + i, n_taps));
  }
}

// 16 or 8 bytes, few taps.
template <typename Isa, typename W>
[[gnu::always_inline]] inline void finish_few(const Taps& taps, size_t n_taps,
                                              const FloatStage& stage, const Results& to,
                                              size_t row, size_t c) {
  constexpr size_t kBlocks = kColumnBlock / kFloatBlock;
  W planes[3];
  count_taps<3>(taps, n_taps, planes);
  const typename Isa::Spread spread(planes);
#pragma GCC unroll 2
  for (size_t first = 0; first < sizeof(W) / 2; first += kBlocks, c += kColumnBlock) {
    if (to.channels - c < kColumnBlock) {
      return finish_last_spread<Isa>(spread, n_taps, stage, to, row, c, first);
    }
    finish_whole<Isa, uint64_t>(stage, to, row, c, [&](size_t i) __attribute__((always_inline)) {
      return spread.sums(first + i, n_taps);
    });
  }
}

template <typename Isa>
void memory_floats(const MemoryRow* rows, size_t x_step, size_t n_bytes,
                   const FloatStage* float_stage, const Results* results) {
  const FloatStage stage = *float_stage;
  const Results to = *results;
  const auto columns = [&]<typename W>(size_t row, size_t at) __attribute__((always_inline)) {
    const MemoryRow& from = rows[row];
    const Taps taps{from.x + at, from.w + at, x_step, n_bytes};
    if constexpr (requires { typename Isa::Spread; }) {
      if (from.n_taps <= kFewTaps) {
        return finish_few<Isa, W>(taps, from.n_taps, stage, to, row, 8 * at);
      }
    }
    finish_columns<Isa, W>(taps, from.n_taps, stage, to, row, 8 * at);
  };
  for (size_t row = 0; row < to.rows; ++row) {
    size_t at = 0;
    for (; at + 16 <= n_bytes; at += 16) columns.template operator()<Vec<uint64_t, 2>>(row, at);
    if (at < n_bytes) columns.template operator()<uint64_t>(row, at);
  }
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_MEMORY_H_
