// The memory of an FSMN block: bit-sliced counters, one channel in each bit.
#ifndef BIFAST_KERNELS_MEMORY_H_
#define BIFAST_KERNELS_MEMORY_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"

namespace bifast {
namespace {

// Plane i holds bit i of a counter for each channel. 28 taps a group: 28 <= 2^5 - 1.
inline constexpr size_t kPlanes = 5;
inline constexpr size_t kGroupTaps = 28;

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

template <typename W>
[[gnu::always_inline]] inline void ripple(W* planes, size_t from, W carry) {
  for (size_t i = from; i < kPlanes; ++i) {
    const W next = planes[i] & carry;
    planes[i] ^= carry;
    carry = next;
  }
}

// Counts the differing bits of n_taps <= kGroupTaps taps, in sizeof(W) bytes.
template <typename W>
[[gnu::always_inline]] inline void count_taps(const Taps& taps, size_t n_taps, W* planes) {
  const auto differing = [&](size_t tap) __attribute__((always_inline)) -> W {
    return load<W>(taps.x + tap * taps.x_step) ^ load<W>(taps.w + tap * taps.w_step);
  };
  for (size_t i = 0; i < kPlanes; ++i) planes[i] = W{};
  size_t tap = 0;
  for (; tap + 4 <= n_taps; tap += 4) {
    const W twos_a = full_add(planes[0], differing(tap), differing(tap + 1));
    const W twos_b = full_add(planes[0], differing(tap + 2), differing(tap + 3));
    ripple(planes, 2, full_add(planes[1], twos_a, twos_b));
  }
  for (; tap < n_taps; ++tap) ripple(planes, 0, differing(tap));
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
    count_taps(taps, group, planes);
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

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_MEMORY_H_
