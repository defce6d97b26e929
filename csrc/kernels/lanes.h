// Vectors that every instruction set shares: one source, compiled at the lane count of each file.
//
// Compiler vectors (GCC and Clang), elementwise operations only, so each element goes through the
// same IEEE-754 operations in the same order at every lane count. Everything here and in the
// headers beside it is a template or inline in an anonymous namespace: no copy compiled for one
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

// Integer sums of 16 channels.
template <size_t kLanes>
struct Ints {
  using V = Vec<int32_t, kLanes>;
  static constexpr size_t kVecs = kFloatBlock / kLanes;
  V v[kVecs];

  [[gnu::always_inline]] void add(const Ints& more) {
    for (size_t i = 0; i < kVecs; ++i) v[i] += more.v[i];
  }
};

// kLanes u16 as int32.
template <size_t kLanes>
[[gnu::always_inline]] inline Vec<int32_t, kLanes> widen_counts(const uint16_t* p) {
  return __builtin_convertvector((load<Vec<uint16_t, kLanes>>(p)), Vec<int32_t, kLanes>);
}

// c + a * b rounded once, where no vector instruction does it. The product of two floats is exact
// as a double. Their sum is rounded to odd there: of the two doubles around the true sum, the one
// whose last bit is 1. That is a tie for a float only where the true sum is one, for the 53 bits of
// a double are two more than the 24 of a float need (S. Boldo, G. Melquiond: Emulation of FMA and
// correctly rounded sums, 2008).
template <size_t kLanes>
[[gnu::always_inline]] inline Vec<float, kLanes> fused_by_element(Vec<float, kLanes> c,
                                                                  Vec<float, kLanes> a,
                                                                  Vec<float, kLanes> b) {
#ifdef __FP_FAST_FMAF
  for (size_t i = 0; i < kLanes; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
#else
  using Doubles = Vec<double, 2>;  // wider ones would go through general registers
  using Bits = Vec<int64_t, 2>;
#pragma GCC unroll 8
  for (size_t i = 0; i < kLanes; i += 2) {
    const auto wide = [i](Vec<float, kLanes> x) { return Doubles{x[i], x[i + 1]}; };
    const Doubles product = wide(a) * wide(b), other = wide(c);
    const Doubles sum = product + other, seen = sum - product;
    const Doubles error = (product - (sum - seen)) + (other - seen);  // exact, or no number
    const Bits up = error > 0.0, down = error < 0.0, negative = sum < 0.0;
    const Bits bits = reinterpret_cast<Bits>(sum), even = (bits & 1) - 1;
    const Bits step = (down ^ negative) | 1;  // one bit towards the true sum
    const Doubles odd = reinterpret_cast<Doubles>(bits + (step & (up | down) & even));
    c[i] = static_cast<float>(odd[0]);
    c[i + 1] = static_cast<float>(odd[1]);
  }
#endif
  return c;
}

// Rows of results with rows of what makes them: kRows at a time, the rest in pairs and alone.
template <size_t kRows, typename Function>
[[gnu::always_inline]] inline void for_rows(size_t rows, const Function& function) {
  size_t r = 0;
  for (; r + kRows <= rows; r += kRows) function.template operator()<kRows>(r);
  if constexpr (kRows > 4) {
    if (r + 4 <= rows) {
      function.template operator()<4>(r);
      r += 4;
    }
  }
  if constexpr (kRows > 2) {
    if (r + 2 <= rows) {
      function.template operator()<2>(r);
      r += 2;
    }
  }
  for (; r < rows; ++r) function.template operator()<1>(r);
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_LANES_H_
