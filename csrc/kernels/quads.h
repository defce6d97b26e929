// Moving lanes: within quads of four, and whole quads between vectors.
#ifndef BIFAST_KERNELS_QUADS_H_
#define BIFAST_KERNELS_QUADS_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "shuffle.h"

namespace bifast {
namespace {

// Lane i of each quad of the result is lane k_i of a's quad, or lane k_i - 4 of b's.
template <int k0, int k1, int k2, int k3, typename T>
[[gnu::always_inline]] inline Vec<T, 4> shuffle(const Vec<T, 4>& a, const Vec<T, 4>& b) {
  return BIFAST_SHUFFLE(a, b, k0, k1, k2, k3);
}

template <int k0, int k1, int k2, int k3, typename T>
[[gnu::always_inline]] inline Vec<T, 8> shuffle(const Vec<T, 8>& a, const Vec<T, 8>& b) {
  constexpr auto at = [](int k) { return k < 4 ? k : k + 4; };
  return BIFAST_SHUFFLE(a, b, at(k0), at(k1), at(k2), at(k3), at(k0) + 4, at(k1) + 4, at(k2) + 4,
                        at(k3) + 4);
}

template <int k0, int k1, int k2, int k3, typename T>
[[gnu::always_inline]] inline Vec<T, 16> shuffle(const Vec<T, 16>& a, const Vec<T, 16>& b) {
  constexpr auto at = [](int k) { return k < 4 ? k : k + 12; };
  return BIFAST_SHUFFLE(a, b, at(k0), at(k1), at(k2), at(k3), at(k0) + 4, at(k1) + 4, at(k2) + 4,
                        at(k3) + 4, at(k0) + 8, at(k1) + 8, at(k2) + 8, at(k3) + 8, at(k0) + 12,
                        at(k1) + 12, at(k2) + 12, at(k3) + 12);
}

// Lane i of result r is lane r of rows[i], in each quad.
template <typename T, size_t kLanes>
[[gnu::always_inline]] inline void transpose(Vec<T, kLanes>* rows) {
  using V = Vec<T, kLanes>;
  const V a = rows[0], b = rows[1], c = rows[2], d = rows[3];
  if constexpr (sizeof(T) == 4) {  // by what one instruction does: pairs, then halves
    const V ab_low = shuffle<0, 4, 1, 5, T>(a, b), ab_high = shuffle<2, 6, 3, 7, T>(a, b);
    const V cd_low = shuffle<0, 4, 1, 5, T>(c, d), cd_high = shuffle<2, 6, 3, 7, T>(c, d);
    rows[0] = shuffle<0, 1, 4, 5, T>(ab_low, cd_low);
    rows[1] = shuffle<2, 3, 6, 7, T>(ab_low, cd_low);
    rows[2] = shuffle<0, 1, 4, 5, T>(ab_high, cd_high);
    rows[3] = shuffle<2, 3, 6, 7, T>(ab_high, cd_high);
  } else {
    const V ab_even = shuffle<0, 4, 2, 6, T>(a, b), ab_odd = shuffle<1, 5, 3, 7, T>(a, b);
    const V cd_even = shuffle<0, 4, 2, 6, T>(c, d), cd_odd = shuffle<1, 5, 3, 7, T>(c, d);
    rows[0] = shuffle<0, 1, 4, 5, T>(ab_even, cd_even);
    rows[1] = shuffle<0, 1, 4, 5, T>(ab_odd, cd_odd);
    rows[2] = shuffle<2, 3, 6, 7, T>(ab_even, cd_even);
    rows[3] = shuffle<2, 3, 6, 7, T>(ab_odd, cd_odd);
  }
}

// Quad q of result r is quad r of rows[q]; as many rows as a vector has quads.
template <typename T>
[[gnu::always_inline]] inline void exchange_quads(Vec<T, 4>*) {}

template <typename T>
[[gnu::always_inline]] inline void exchange_quads(Vec<T, 8>* rows) {
  const Vec<T, 8> a = rows[0], b = rows[1];
  rows[0] = BIFAST_SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
  rows[1] = BIFAST_SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}

template <typename T>
[[gnu::always_inline]] inline void exchange_quads(Vec<T, 16>* rows) {
  using V = Vec<T, 16>;
  const V a = rows[0], b = rows[1], c = rows[2], d = rows[3];
  const auto low = [](const V& x, const V& y) __attribute__((always_inline)) {
    return BIFAST_SHUFFLE(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  };
  const auto high = [](const V& x, const V& y) __attribute__((always_inline)) {
    return BIFAST_SHUFFLE(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  };
  const auto even = [](const V& x, const V& y) __attribute__((always_inline)) {
    return BIFAST_SHUFFLE(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
  };
  const auto odd = [](const V& x, const V& y) __attribute__((always_inline)) {
    return BIFAST_SHUFFLE(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  };
  const V ab_low = low(a, b), ab_high = high(a, b), cd_low = low(c, d), cd_high = high(c, d);
  rows[0] = even(ab_low, cd_low);
  rows[1] = odd(ab_low, cd_low);
  rows[2] = even(ab_high, cd_high);
  rows[3] = odd(ab_high, cd_high);
}

// Lane i of quad q goes to lane i * quads + q.
template <typename T>
[[gnu::always_inline]] inline Vec<T, 4> quads_to_lanes(const Vec<T, 4>& a) {
  return a;
}

template <typename T>
[[gnu::always_inline]] inline Vec<T, 8> quads_to_lanes(const Vec<T, 8>& a) {
  return BIFAST_SHUFFLE(a, a, 0, 4, 1, 5, 2, 6, 3, 7);
}

template <typename T>
[[gnu::always_inline]] inline Vec<T, 16> quads_to_lanes(const Vec<T, 16>& a) {
  return BIFAST_SHUFFLE(a, a, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

// Frequencies n - k of frequencies k: `part` of the vectors of a row, every second one. Frequency 0
// of a row comes from `low`, the others from the row before it, `high`.
template <typename V, typename T>
[[gnu::always_inline]] inline V mirrored(const T* high, const T* low, size_t part) {
  constexpr size_t kLanes = sizeof(V) / sizeof(T);
  if constexpr (kLanes == 16) {
    const auto a = load<V>(high), b = load<V>(low);
    return BIFAST_SHUFFLE(a, b, 16, 3, 2, 1, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4);
  } else if constexpr (kLanes == 8) {
    const auto a = load<V>(high), b = load<V>(high + 2 * kLanes);
    if (part == 0) {
      const V quads = BIFAST_SHUFFLE(a, b, 0, 1, 2, 3, 12, 13, 14, 15);
      const auto first = load<V>(low);
      const V mixed = BIFAST_SHUFFLE(quads, first, 8, 1, 2, 3, 4, 5, 6, 7);
      return BIFAST_SHUFFLE(mixed, mixed, 0, 3, 2, 1, 7, 6, 5, 4);
    }
    const V quads = BIFAST_SHUFFLE(b, a, 0, 1, 2, 3, 12, 13, 14, 15);
    return BIFAST_SHUFFLE(quads, quads, 3, 2, 1, 0, 7, 6, 5, 4);
  } else {
    const auto a = load<V>(high + (4 - part) % 4 * 2 * kLanes);
    if (part == 0) return shuffle<4, 3, 2, 1, T>(a, load<V>(low));
    return shuffle<3, 2, 1, 0, T>(a, a);
  }
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_QUADS_H_
