// Row loops that every instruction set shares: one source, compiled at the lane count of each file.
//
// Compiler vectors (GCC and Clang), elementwise operations only, so each element goes through the
// same IEEE-754 operations in the same order at every lane count; the end of a row is the same code
// at one lane. Everything is a template in an anonymous namespace: no copy compiled for one
// instruction set can be linked into another.
#ifndef BIFAST_KERNELS_LANES_H_
#define BIFAST_KERNELS_LANES_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

// Vectors wider than the registers are passed between functions of one file only.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace bifast {
namespace {

template <typename T, size_t kLanes>
struct VecOf {
  typedef T Type __attribute__((vector_size(sizeof(T) * kLanes)));
};
template <typename T, size_t kLanes>
using Vec = typename VecOf<T, kLanes>::Type;

template <typename V, typename T>
[[gnu::always_inline]] inline V load(const T* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}

template <typename V, typename T>
[[gnu::always_inline]] inline void store(T* to, const V& v) {
  __builtin_memcpy(to, &v, sizeof(V));
}

// ---- rows of bits -------------------------------------------------------------------------------

// Stores the first bytes of a word of 64 bits, at most `left` of them.
[[gnu::always_inline]] inline void store_bits(uint8_t* to, uint64_t word, size_t left) {
  if (left >= sizeof(word)) {
    store(to, word);
  } else {
    __builtin_memcpy(to, &word, left);
  }
}

// kBlock(p, limit): bit c = p[c] <= limit[c] for 64 channels.
template <uint64_t (*kBlock)(const uint16_t*, const uint16_t*)>
void threshold_row(const uint16_t* p, const uint16_t* limit, const uint8_t* flip, uint8_t* bits,
                   size_t row_bytes) {
  for (size_t byte = 0; byte < row_bytes; byte += 8) {
    const uint64_t below = kBlock(p + 8 * byte, limit + 8 * byte);
    store_bits(bits + byte, below ^ load<uint64_t>(flip + byte), row_bytes - byte);
  }
}

// kBlock(x): bit c = x[c] >= 0 for 64 floats.
template <uint64_t (*kBlock)(const float*)>
void sign_row(const float* x, size_t n, uint8_t* bits, size_t row_bytes) {
  size_t byte = 0;
  for (; 8 * byte + 64 <= n; byte += 8)
    store_bits(bits + byte, kBlock(x + 8 * byte), row_bytes - byte);
  if (8 * byte < n) {
    float last[64];
    for (float& value : last) value = -1.0f;
    __builtin_memcpy(last, x + 8 * byte, (n - 8 * byte) * sizeof(float));
    store_bits(bits + byte, kBlock(last), row_bytes - byte);
    byte += 8;
  }
  if (byte < row_bytes) __builtin_memset(bits + byte, 0, row_bytes - byte);
}

// ---- memory: bit-sliced counters ----------------------------------------------------------------

// Plane i holds bit i of a counter for each channel. 28 taps a group: 28 <= 2^5 - 1.
inline constexpr size_t kPlanes = 5;
inline constexpr size_t kGroupTaps = 28;

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

// Counts the differing bits of n_taps <= kGroupTaps taps, sizeof(W) bytes from byte `at` on.
template <typename W>
[[gnu::always_inline]] inline void count_taps(const uint8_t* const* x, const uint8_t* const* w,
                                              size_t n_taps, size_t at, W* planes) {
  const auto differing = [&](size_t tap) __attribute__((always_inline)) -> W {
    return load<W>(x[tap] + at) ^ load<W>(w[tap] + at);
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
  using Counts = Vec<uint16_t, kLanes>;
  Counts select{};
  for (size_t i = 0; i < kLanes; ++i) select[i] = static_cast<uint16_t>(1u << i);
  uint8_t bytes[kPlanes][sizeof(W)];
  __builtin_memcpy(bytes, planes, sizeof(bytes));
  for (size_t at = 0; at < sizeof(W); at += kLanes / 8) {
    Counts counts{};
    for (size_t i = n_planes; i-- > 0;) {
      uint16_t word = 0;
      __builtin_memcpy(&word, bytes[i] + at, kLanes / 8);
      // A true comparison is -1.
      counts = counts + counts - Counts(((Counts{} + word) & select) == select);
    }
    store(p + 8 * at, add ? load<Counts>(p + 8 * at) + counts : counts);
  }
}

template <size_t kLanes, typename W>
[[gnu::always_inline]] inline void memory_columns(const uint8_t* const* x, const uint8_t* const* w,
                                                  size_t n_taps, uint16_t* p, size_t at) {
  size_t tap = 0;
  do {
    const size_t group = n_taps - tap < kGroupTaps ? n_taps - tap : kGroupTaps;
    W planes[kPlanes];
    count_taps(x + tap, w + tap, group, at, planes);
    spread<kLanes>(planes, group < 8 ? 3 : group < 16 ? 4 : 5, p + 8 * at, tap != 0);
    tap += group;
  } while (tap < n_taps);
}

template <size_t kLanes>
void memory_row(const uint8_t* const* x, const uint8_t* const* w, size_t n_taps, uint16_t* p,
                size_t n_bytes) {
  size_t at = 0;
  for (; at + 16 <= n_bytes; at += 16)
    memory_columns<kLanes, Vec<uint64_t, 2>>(x, w, n_taps, p, at);
  if (at < n_bytes) memory_columns<kLanes, uint64_t>(x, w, n_taps, p, at);
}

// ---- float rows ---------------------------------------------------------------------------------

template <size_t kLanes>
[[gnu::always_inline]] inline void finish(Vec<float, kLanes>& y, const Affine& affine,
                                          const float* residual, size_t c) {
  using V = Vec<float, kLanes>;
  if (affine.scale != nullptr) y = y * load<V>(affine.scale + c) + load<V>(affine.shift + c);
  if (affine.slope != nullptr) y = y >= V{} ? y : y * load<V>(affine.slope + c);
  if (residual != nullptr) y = y + load<V>(residual + c);
}

template <size_t kLanes>
[[gnu::always_inline]] inline void affine_counts_at(const uint16_t* p, const int32_t* base,
                                                    const Affine& affine, const float* residual,
                                                    float* y, size_t c) {
  using Int = Vec<int32_t, kLanes>;
  using V = Vec<float, kLanes>;
  const Int counts = __builtin_convertvector(load<Vec<uint16_t, kLanes>>(p + c), Int);
  V v = __builtin_convertvector(load<Int>(base + c) - (counts + counts), V);
  finish<kLanes>(v, affine, residual, c);
  store(y + c, v);
}

template <size_t kLanes>
void affine_counts(const uint16_t* p, const int32_t* base, const Affine* affine,
                   const float* residual, float* y, size_t n) {
  const Affine steps = *affine;
  size_t c = 0;
  for (; c + kLanes <= n; c += kLanes) affine_counts_at<kLanes>(p, base, steps, residual, y, c);
  for (; c < n; ++c) affine_counts_at<1>(p, base, steps, residual, y, c);
}

template <size_t kLanes>
[[gnu::always_inline]] inline void affine_floats_at(const float* v, const Affine& affine,
                                                    const float* residual, float* y, size_t c) {
  auto lanes = load<Vec<float, kLanes>>(v + c);
  finish<kLanes>(lanes, affine, residual, c);
  store(y + c, lanes);
}

template <size_t kLanes>
void affine_floats(const float* v, const Affine* affine, const float* residual, float* y,
                   size_t n) {
  const Affine steps = *affine;
  size_t c = 0;
  for (; c + kLanes <= n; c += kLanes) affine_floats_at<kLanes>(v, steps, residual, y, c);
  for (; c < n; ++c) affine_floats_at<1>(v, steps, residual, y, c);
}

// One tile of kRows x kFloatBlock outputs. kSums of the four partial sums are in registers at once:
// one where many rows already keep the adders busy, all four for a single row.
template <size_t kLanes, size_t kRows, size_t kSums>
[[gnu::always_inline]] inline void float_tile(const float* a, size_t a_stride,
                                              const uint32_t* offset, const float* w, float* out,
                                              size_t cols, size_t depth) {
  constexpr size_t kVecs = kFloatBlock / kLanes;
  using V = Vec<float, kLanes>;
  V sums[4][kRows][kVecs];
  for (size_t first = 0; first < 4; first += kSums) {
    V acc[kSums][kRows][kVecs] = {};
    const auto add = [&](size_t k, size_t s) __attribute__((always_inline)) {
      const float* x = a + offset[k];
      V weights[kVecs];
      for (size_t v = 0; v < kVecs; ++v) weights[v] = load<V>(w + k * cols + v * kLanes);
      for (size_t r = 0; r < kRows; ++r) {
        for (size_t v = 0; v < kVecs; ++v) acc[s][r][v] += x[r * a_stride] * weights[v];
      }
    };
    size_t k = first;
    for (; k + kSums <= depth; k += 4) {
      for (size_t s = 0; s < kSums; ++s) add(k + s, s);
    }
    for (size_t s = 0; k + s < depth; ++s) add(k + s, s);
    for (size_t s = 0; s < kSums; ++s) __builtin_memcpy(sums[first + s], acc[s], sizeof(acc[s]));
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVecs; ++v) {
      const V low = sums[0][r][v] + sums[1][r][v];
      const V high = sums[2][r][v] + sums[3][r][v];
      store(out + r * cols + v * kLanes, V(low + high));
    }
  }
}

template <size_t kLanes, size_t kRows>
void float_matmul(const float* a, size_t a_stride, const uint32_t* offset, const float* w,
                  float* out, size_t rows, size_t cols, size_t depth) {
  for (size_t c = 0; c < cols; c += kFloatBlock) {
    size_t r = 0;
    for (; r + kRows <= rows; r += kRows) {
      float_tile<kLanes, kRows, 1>(a + r * a_stride, a_stride, offset, w + c, out + r * cols + c,
                                   cols, depth);
    }
    for (; r < rows; ++r) {
      float_tile<kLanes, 1, 4>(a + r * a_stride, a_stride, offset, w + c, out + r * cols + c, cols,
                               depth);
    }
  }
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_LANES_H_
