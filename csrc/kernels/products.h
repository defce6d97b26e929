// Products with the end of their layer: sums go from registers to results a tile at a time.
//
// Isa (see stages.h) has besides:
//   kTileCols, kTileBytes      of a panel
//   kFloatRows                 rows of a float tile
//   kRowsOfFourSums            up to so many rows have all four partial sums in registers
//   FloatCount                 type of the counts that become floats
//   count<kRows>(a, stride, panel, depth_bytes, cols, counts)   of cols <= kCountCols channels, a
//                              multiple of kTileCols
// or, where counts need not leave the registers, kOwnRows and binary_rows in place of the last two.
#ifndef BIFAST_KERNELS_PRODUCTS_H_
#define BIFAST_KERNELS_PRODUCTS_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/stages.h"

namespace bifast {
namespace {

// Counts of some rows, up to so many channels at once: they stay in the first cache.
inline constexpr size_t kCountCols = 256;

template <size_t kRows, typename Count>
struct alignas(64) Counts {
  Count p[kRows][kCountCols];
};

template <typename Isa, typename Stage>
struct CountOf {
  using Type = typename Isa::FloatCount;
};
template <typename Isa>
struct CountOf<Isa, ThresholdStage> {
  using Type = uint16_t;
};

template <typename Isa, bool kTwo, size_t kRows, typename Stage>
[[gnu::always_inline]] inline void binary_rows(const BinaryProduct& product, const Stage& stage,
                                               const Results& to, size_t row) {
  const uint8_t* a = product.a + row * product.stride;
  Counts<kRows, typename CountOf<Isa, Stage>::Type> counts[kTwo ? 2 : 1];
  for (size_t first = 0; first < to.channels; first += kCountCols) {
    const size_t left = to.channels - first, cols = left < kCountCols ? left : kCountCols;
    for (size_t plane = 0; plane < (kTwo ? 2 : 1); ++plane) {
      const size_t tiled = (cols + Isa::kTileCols - 1) / Isa::kTileCols * Isa::kTileCols;
      Isa::template count<kRows>(a + plane * product.plane_bytes, product.stride,
                                 product.panel + first * product.depth_bytes, product.depth_bytes,
                                 tiled, counts[plane]);
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < cols; c += kColumnBlock) {
        finish_counts<Isa, kTwo>(stage, to, row + r, first + c, counts[0].p[r] + c,
                                 counts[kTwo ? 1 : 0].p[r] + c);
      }
    }
  }
}

template <typename Isa, bool kTwo, typename Stage>
[[gnu::always_inline]] inline void binary_planes(const BinaryProduct& product, const Stage& stage,
                                                 const Results& to) {
  for_rows<4>(to.rows, [&]<size_t kRows>(size_t row) __attribute__((always_inline)) {
    if constexpr (requires { Isa::kOwnRows; }) {
      Isa::template binary_rows<kTwo, kRows>(product, stage, to, row);
    } else {
      binary_rows<Isa, kTwo, kRows>(product, stage, to, row);
    }
  });
}

template <typename Isa>
void binary_thresholds(const BinaryProduct* product, const ThresholdStage* stage,
                       const Results* to) {
  binary_planes<Isa, false>(BinaryProduct(*product), ThresholdStage(*stage), Results(*to));
}

template <typename Isa>
void binary_floats(const BinaryProduct* product, const FloatStage* stage, const Results* to) {
  if (product->plane_bytes == 0) {
    binary_planes<Isa, false>(BinaryProduct(*product), FloatStage(*stage), Results(*to));
  } else {
    binary_planes<Isa, true>(BinaryProduct(*product), FloatStage(*stage), Results(*to));
  }
}

// Sums first .. first + kSums - 1 of the four, of kRows x kFloatBlock outputs.
template <typename Isa, size_t kRows, size_t kSums>
[[gnu::always_inline]] inline void partial_sums(const FloatProduct& product, size_t row, size_t c,
                                                size_t first, Floats<Isa> (&sums)[kSums][kRows]) {
  using F = Floats<Isa>;
  const float* x[kRows];
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) x[r] = product.a + (row + r) * product.stride;
  const float* w = product.w + first * product.cols + c;
  const auto add = [&](size_t k, size_t s) __attribute__((always_inline)) {
    const size_t at = product.offset[k + s];
    const F weights = F::of(w + s * product.cols);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (size_t v = 0; v < F::kVecs; ++v) sums[s][r].v[v] += x[r][at] * weights.v[v];
    }
  };
#pragma GCC unroll 4
  for (size_t s = 0; s < kSums; ++s) {
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) sums[s][r] = F{};
  }
  size_t k = first;
  for (; k + kSums <= product.depth; k += 4, w += 4 * product.cols) {
#pragma GCC unroll 4
    for (size_t s = 0; s < kSums; ++s) add(k, s);
  }
  if constexpr (kSums > 1) {
    if (k < product.depth) add(k, 0);
    if (k + 1 < product.depth) add(k, 1);
    if (k + 2 < product.depth) add(k, 2);
  }
}

// As many partial sums at once as have room in registers: kRows * kSums * (16 / kLanes) of them.
template <typename Isa, size_t kRows, size_t kSums>
[[gnu::always_inline]] inline void float_tile(const FloatProduct& product, size_t row, size_t c,
                                              Floats<Isa> (&out)[kRows]) {
  using F = Floats<Isa>;
  const auto join = [](F(&to)[kRows], const F(&a)[kRows], const F(&b)[kRows])
                        __attribute__((always_inline)) {
#pragma GCC unroll 4
                          for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
                            for (size_t v = 0; v < F::kVecs; ++v)
                              to[r].v[v] = a[r].v[v] + b[r].v[v];
                          }
                        };
  F low[kRows], high[kRows];
  if constexpr (kSums == 4) {
    F all[4][kRows];
    partial_sums<Isa>(product, row, c, 0, all);
    join(low, all[0], all[1]);
    join(high, all[2], all[3]);
  } else {
    F a[1][kRows], b[1][kRows];
    partial_sums<Isa>(product, row, c, 0, a);
    partial_sums<Isa>(product, row, c, 1, b);
    join(low, a[0], b[0]);
    partial_sums<Isa>(product, row, c, 2, a);
    partial_sums<Isa>(product, row, c, 3, b);
    join(high, a[0], b[0]);
  }
  join(out, low, high);
}

template <typename Isa>
void float_product(const FloatProduct* product, const FloatStage* stage, const Results* results) {
  const FloatProduct from = *product;
  const FloatStage steps = *stage;
  const Results to = *results;
  for (size_t c = 0; c < to.channels; c += kFloatBlock) {
    for_rows<Isa::kFloatRows>(
        to.rows, [&]<size_t kRows>(size_t row) __attribute__((always_inline)) {
          Floats<Isa> sums[kRows];
          float_tile<Isa, kRows, kRows <= Isa::kRowsOfFourSums ? 4 : 1>(from, row, c, sums);
#pragma GCC unroll 4
          for (size_t r = 0; r < kRows; ++r) finish_block<Isa>(steps, to, row + r, c, sums[r]);
        });
  }
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_PRODUCTS_H_
