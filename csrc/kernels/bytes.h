// Products of bytes with the end of their layer, for every instruction set: one loop, which each
// file gives its own lanes.
//
// Sums are integers, so their order is free. Isa (see stages.h) has besides:
//   Bytes                      how 16 channels are added up: see byte_sums
//   kByteRows, kByteBlocks     rows and blocks of 16 channels of a tile
//   more_than(sum, bound)      bit c = sum[c] > bound[c], 16 int32 in registers of kLanes
#ifndef BIFAST_KERNELS_BYTES_H_
#define BIFAST_KERNELS_BYTES_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/stages.h"

namespace bifast {
namespace {

// Bytes has
//   Sums                       of 16 channels; Sums{} are zeros
//   kChains                    so many of them must be independent to keep the multipliers busy
//   kGroups                    of four bytes of depth that are added at once; 1 where a weight is
//                              -128
//   kMostGroups                that Sums can hold
//   Inputs<n>(a, offset)       n groups of a row
//   add<n>(sums, x, w, step)   adds products of n groups, whose weights are `step` bytes apart
//   join(sums, more)
//   to_ints(sums, totals, out)
// One row has its depth in parts, whose sums are independent.
template <typename Isa, size_t kRows, size_t kBlocks>
[[gnu::always_inline]] inline void byte_sums(const ByteProduct& product, size_t row, size_t c,
                                             size_t k, size_t last,
                                             Ints<Isa::kLanes> (&out)[kRows][kBlocks]) {
  using Bytes = typename Isa::Bytes;
  constexpr size_t kTogether = kRows * kBlocks;
  constexpr size_t kParts = Bytes::kChains > kTogether ? Bytes::kChains / kTogether : 1;
  constexpr size_t kGroups = Bytes::kGroups, kStep = kParts * kGroups;
  const uint8_t* a = product.a + row * product.stride;
  const size_t step = 4 * product.cols;
  typename Bytes::Sums sums[kParts][kRows][kBlocks];
  const auto add = [&]<size_t n>(size_t group, size_t part) __attribute__((always_inline)) {
    const int8_t* w = product.w + group * step + 4 * c;
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
      const typename Bytes::template Inputs<n> x(a + r * product.stride, product.offset + group);
#pragma GCC unroll 4
      for (size_t b = 0; b < kBlocks; ++b) {
        Bytes::template add<n>(sums[part][r][b], x, w + 4 * kFloatBlock * b, step);
      }
    }
  };
#pragma GCC unroll 8
  for (size_t part = 0; part < kParts; ++part) {
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (size_t b = 0; b < kBlocks; ++b) sums[part][r][b] = typename Bytes::Sums{};
    }
  }
  for (; kStep > 1 && k + kStep <= last && (kGroups == 1 || !product.lowest); k += kStep) {
#pragma GCC unroll 8
    for (size_t part = 0; part < kParts; ++part) {
      add.template operator()<kGroups>(k + part * kGroups, part);
    }
  }
  for (; k < last; ++k) add.template operator()<1>(k, 0);
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
      for (size_t part = 1; part < kParts; ++part) Bytes::join(sums[0][r][b], sums[part][r][b]);
      out[r][b] = Bytes::to_ints(sums[0][r][b], product.totals + c + kFloatBlock * b);
    }
  }
}

template <typename Isa>
[[gnu::always_inline]] inline void finish_sums(const FloatStage& stage, const Results& to,
                                               size_t row, size_t c,
                                               const Ints<Isa::kLanes>& sums) {
  Floats<Isa> values;
  for (size_t i = 0; i < Ints<Isa::kLanes>::kVecs; ++i) {
    values.v[i] = __builtin_convertvector(sums.v[i], typename Floats<Isa>::V);
  }
  finish_block<Isa>(stage, to, row, c, values);
}

template <typename Isa>
[[gnu::always_inline]] inline void finish_sums(const SumStage& stage, const Results& to, size_t row,
                                               size_t c, const Ints<Isa::kLanes>& sums) {
  Ints<Isa::kLanes> bound;
  for (size_t i = 0; i < Ints<Isa::kLanes>::kVecs; ++i) {
    bound.v[i] = load<typename Ints<Isa::kLanes>::V>(stage.bound + c + i * Isa::kLanes);
  }
  const uint32_t more = Isa::more_than(sums.v, bound.v);
  store_bits(to, to.bits + row * to.bits_stride, c,
             static_cast<uint16_t>(more ^ load<uint16_t>(stage.flip + c / 8)));
}

template <typename Isa, size_t kRows, size_t kBlocks, typename Stage>
[[gnu::always_inline]] inline void byte_block(const ByteProduct& product, const Stage& stage,
                                              const Results& to, size_t row, size_t c) {
  constexpr size_t kMost = Isa::Bytes::kMostGroups;
  Ints<Isa::kLanes> sums[kRows][kBlocks];
  byte_sums<Isa>(product, row, c, 0, product.depth < kMost ? product.depth : kMost, sums);
  for (size_t k = kMost; k < product.depth; k += kMost) {
    Ints<Isa::kLanes> more[kRows][kBlocks];
    const size_t left = product.depth - k;
    byte_sums<Isa>(product, row, c, k, left < kMost ? product.depth : k + kMost, more);
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t b = 0; b < kBlocks; ++b) sums[r][b].add(more[r][b]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t b = 0; b < kBlocks; ++b) {
      if (c + kFloatBlock * b >= to.channels) break;
      finish_sums<Isa>(stage, to, row + r, c + kFloatBlock * b, sums[r][b]);
    }
  }
}

template <typename Isa, typename Stage>
void byte_product(const ByteProduct* given, const Stage* end, const Results* results) {
  const ByteProduct product = *given;
  const Stage stage = *end;
  const Results to = *results;
  constexpr size_t kRows = Isa::kByteRows, kBlocks = Isa::kByteBlocks;
  const auto columns = [&]<size_t n_rows>(size_t row) __attribute__((always_inline)) {
    size_t c = 0;
    for (; kBlocks > 1 && c + kBlocks * kFloatBlock <= product.cols; c += kBlocks * kFloatBlock) {
      byte_block<Isa, n_rows, kBlocks>(product, stage, to, row, c);
    }
    for (; c < product.cols; c += kFloatBlock) {
      byte_block<Isa, n_rows, 1>(product, stage, to, row, c);
    }
  };
  size_t row = 0;
  for (; row + kRows <= to.rows; row += kRows) columns.template operator()<kRows>(row);
  for (; row < to.rows; ++row) columns.template operator()<1>(row);
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_BYTES_H_
