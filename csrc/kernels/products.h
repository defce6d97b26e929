// Products with the end of their layer: sums go from registers to results a tile at a time.
//
// Isa (see stages.h) has besides:
//   kTileCols, kTileBytes      of a panel
//   kFloatRows                 rows of a float tile
//   kRowsOfFourSums            up to so many rows have all four partial sums in registers
//   FloatCount                 type of the counts that become floats
//   count<kRows>(a, stride, panel, depth_bytes, cols, counts)   of cols <= kCountCols channels, a
//                              multiple of kTileCols
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
    binary_rows<Isa, kTwo, kRows>(product, stage, to, row);
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
struct PartialSums {
  using F = Floats<Isa>;

  F sums[kSums][kRows];

  [[gnu::always_inline]] PartialSums(const FloatProduct& product, size_t row, size_t c,
                                     size_t first) {
    const float* a = product.a + row * product.stride;
    for (size_t s = 0; s < kSums; ++s) {
      for (size_t r = 0; r < kRows; ++r) sums[s][r] = F{};
    }
    size_t k = first;
    for (; k + kSums <= product.depth; k += 4) {
      for (size_t s = 0; s < kSums; ++s) add(product, a, c, k + s, s);
    }
#pragma GCC unroll 4
    for (size_t s = 0; s < kSums; ++s) {  // constant s: the sums stay in registers
      if (k + s < product.depth) add(product, a, c, k + s, s);
    }
  }

  [[gnu::always_inline]] void add(const FloatProduct& product, const float* a, size_t c, size_t k,
                                  size_t s) {
    const float* x = a + product.offset[k];
    const F weights = F::of(product.w + k * product.cols + c);
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < F::kVecs; ++v) {
        sums[s][r].v[v] += x[r * product.stride] * weights.v[v];
      }
    }
  }
};

// As many partial sums at once as have room in registers: kRows * kSums * (16 / kLanes) of them.
template <typename Isa, size_t kRows, size_t kSums>
[[gnu::always_inline]] inline void float_tile(const FloatProduct& product, size_t row, size_t c,
                                              Floats<Isa>* out) {
  using Sums = PartialSums<Isa, kRows, kSums>;
  const auto join = [](Floats<Isa>* to, const Floats<Isa>* a, const Floats<Isa>* b)
                        __attribute__((always_inline)) {
                          for (size_t r = 0; r < kRows; ++r) {
                            for (size_t v = 0; v < Floats<Isa>::kVecs; ++v)
                              to[r].v[v] = a[r].v[v] + b[r].v[v];
                          }
                        };
  Floats<Isa> low[kRows], high[kRows];
  if constexpr (kSums == 4) {
    const Sums all(product, row, c, 0);
    join(low, all.sums[0], all.sums[1]);
    join(high, all.sums[2], all.sums[3]);
  } else {
    join(low, Sums(product, row, c, 0).sums[0], Sums(product, row, c, 1).sums[0]);
    join(high, Sums(product, row, c, 2).sums[0], Sums(product, row, c, 3).sums[0]);
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
          for (size_t r = 0; r < kRows; ++r) finish_block<Isa>(steps, to, row + r, c, sums[r]);
        });
  }
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_PRODUCTS_H_
