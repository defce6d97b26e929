// Product of bytes for every instruction set: one loop, which each file gives its own lanes.
//
// Sums are integers, so their order is free.
#ifndef BIFAST_KERNELS_BYTES_H_
#define BIFAST_KERNELS_BYTES_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/lanes.h"

namespace bifast {
namespace {

// Lanes of i32, each one output channel. Plain multiplications: where no instruction adds products
// of bytes.
template <size_t kLanes>
struct PlainBytes {
  static constexpr size_t kChannels = kLanes;
  using Sums = Vec<int32_t, kLanes>;
  struct Inputs {
    int32_t bytes[4];
  };
  struct Weights {
    Sums bytes[4];
  };
  [[gnu::always_inline]] static Inputs inputs(uint32_t x) {
    return {{static_cast<int32_t>(x & 0xFF), static_cast<int32_t>(x >> 8 & 0xFF),
             static_cast<int32_t>(x >> 16 & 0xFF), static_cast<int32_t>(x >> 24)}};
  }
  [[gnu::always_inline]] static Weights weights(const int8_t* w) {
    const auto word = load<Vec<uint32_t, kLanes>>(w);
    return {
        {Sums(word << 24) >> 24, Sums(word << 16) >> 24, Sums(word << 8) >> 24, Sums(word) >> 24}};
  }
  [[gnu::always_inline]] static Sums add(Sums sums, const Inputs& x, const Weights& w) {
    for (size_t i = 0; i < 4; ++i) sums += w.bytes[i] * x.bytes[i];
    return sums;
  }
};

// kRows x kVecs vectors of outputs.
template <typename Lanes, size_t kRows, size_t kVecs>
[[gnu::always_inline]] inline void byte_tile(const uint8_t* a, size_t a_stride,
                                             const uint32_t* offset, const int8_t* w, float* out,
                                             size_t cols, size_t depth) {
  using Sums = typename Lanes::Sums;
  Sums sums[kRows][kVecs] = {};
  for (size_t k = 0; k < depth; ++k) {
    typename Lanes::Weights weights[kVecs];
#pragma GCC unroll 4
    for (size_t v = 0; v < kVecs; ++v) {
      weights[v] = Lanes::weights(w + 4 * (k * cols + v * Lanes::kChannels));
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      const auto x = Lanes::inputs(load<uint32_t>(a + r * a_stride + offset[k]));
#pragma GCC unroll 4
      for (size_t v = 0; v < kVecs; ++v) sums[r][v] = Lanes::add(sums[r][v], x, weights[v]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVecs; ++v) {
      const auto lanes = Vec<int32_t, Lanes::kChannels>(sums[r][v]);
      store(out + r * cols + v * Lanes::kChannels,
            __builtin_convertvector(lanes, Vec<float, Lanes::kChannels>));
    }
  }
}

template <typename Lanes, size_t kRows, size_t kVecs>
void byte_matmul(const uint8_t* a, size_t a_stride, const uint32_t* offset, const int8_t* w,
                 float* out, size_t rows, size_t cols, size_t depth) {
  constexpr size_t kStep = kVecs * Lanes::kChannels;
  const auto columns = [&]<size_t n_rows>(size_t r) __attribute__((always_inline)) {
    const uint8_t* x = a + r * a_stride;
    float* y = out + r * cols;
    size_t c = 0;
    for (; c + kStep <= cols; c += kStep) {
      byte_tile<Lanes, n_rows, kVecs>(x, a_stride, offset, w + 4 * c, y + c, cols, depth);
    }
    for (; c < cols; c += Lanes::kChannels) {
      byte_tile<Lanes, n_rows, 1>(x, a_stride, offset, w + 4 * c, y + c, cols, depth);
    }
  };
  size_t r = 0;
  for (; r + kRows <= rows; r += kRows) columns.template operator()<kRows>(r);
  for (; r < rows; ++r) columns.template operator()<1>(r);
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_BYTES_H_
