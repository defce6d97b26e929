// The end of a layer, channels in lanes: counts against thresholds, floats through scale, slope and
// residual to values and signs.
//
// Isa is the class that an instruction set's file defines:
//   kLanes                     floats in a register
//   at_most(p, limit)          bit c = p[c] <= limit[c], 64 u16
//   at_least(y, bound)         bit c = y[c] >= bound[c], 16 floats in 16 / kLanes registers each
//   widen(p)                   kLanes counts as int32
#ifndef BIFAST_KERNELS_STAGES_H_
#define BIFAST_KERNELS_STAGES_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"

namespace bifast {
namespace {

constexpr size_t padded(size_t channels) {
  return (channels + kColumnBlock - 1) / kColumnBlock * kColumnBlock;
}

inline size_t class_of(const Results& to, size_t row) {
  return to.classes == nullptr ? 0 : to.classes[row];
}

// What is left of a row of bits: a part of a word, then zeros.
template <typename Word>
[[gnu::noinline]] void store_last_bits(uint8_t* to, size_t n_bytes, Word bits) {
  const size_t used = n_bytes < sizeof(Word) ? n_bytes : sizeof(Word);
  __builtin_memcpy(to, &bits, used);
  __builtin_memset(to + used, 0, n_bytes - used);
}

// Stores the bits of as many channels as Word has from channel c on, those behind the last being 0,
// and zeros behind the last word.
template <typename Word>
[[gnu::always_inline]] inline void store_bits(const Results& to, uint8_t* row, size_t c,
                                              Word bits) {
  const size_t left = to.bits_stride - c / 8;
  if (left == sizeof(Word) || c + 8 * sizeof(Word) < to.channels) {
    store(row + c / 8, bits);
  } else if (left == sizeof(uint32_t) && sizeof(Word) > sizeof(uint32_t)) {
    store(row + c / 8, static_cast<uint32_t>(bits));
  } else {
    store_last_bits(row + c / 8, left, bits);
  }
}

// ---- bits from counts ---------------------------------------------------------------------------

// 64 channels; kTwo does not apply.
template <typename Isa, bool kTwo>
[[gnu::always_inline]] inline void finish_counts(const ThresholdStage& stage, const Results& to,
                                                 size_t row, size_t c, const uint16_t* p,
                                                 const uint16_t*) {
  const size_t at = class_of(to, row) * padded(to.channels) + c;
  const uint64_t bits = Isa::at_most(p, stage.limit + at) ^ load<uint64_t>(stage.flip + at / 8);
  store_bits(to, to.bits + row * to.bits_stride, c, bits);
}

// ---- floats and their signs ---------------------------------------------------------------------

// 16 channels.
template <typename Isa>
struct Floats {
  using V = Vec<float, Isa::kLanes>;
  static constexpr size_t kVecs = kFloatBlock / Isa::kLanes;

  V v[kVecs];

  [[gnu::always_inline]] static Floats of(const float* from) {
    Floats x;
    for (size_t i = 0; i < kVecs; ++i) x.v[i] = load<V>(from + i * Isa::kLanes);
    return x;
  }
  [[gnu::always_inline]] void put(float* to) const {
    for (size_t i = 0; i < kVecs; ++i) store(to + i * Isa::kLanes, v[i]);
  }
};

// base - 2 p as floats.
template <typename Isa, typename Count>
[[gnu::always_inline]] inline Floats<Isa> sums_of(const Count* p, const int32_t* base) {
  using Int = Vec<int32_t, Isa::kLanes>;
  Floats<Isa> x;
  for (size_t i = 0; i < Floats<Isa>::kVecs; ++i) {
    const Int counts = Isa::widen(p + i * Isa::kLanes);
    x.v[i] = __builtin_convertvector(load<Int>(base + i * Isa::kLanes) - (counts + counts),
                                     Vec<float, Isa::kLanes>);
  }
  return x;
}

// y of 16 channels.
template <typename Isa>
[[gnu::always_inline]] inline Floats<Isa> values_of(Floats<Isa> y, const float* steps,
                                                    const float* residual) {
  using V = typename Floats<Isa>::V;
  const auto step = [&](Step which, size_t i) __attribute__((always_inline)) {
    return load<V>(steps + which * kFloatBlock + i * Isa::kLanes);
  };
  for (size_t i = 0; i < Floats<Isa>::kVecs; ++i) {
    const V z = y.v[i] * step(kScale, i) + step(kShift, i);
    const V activated = z >= V{} ? z : z * step(kSlope, i);
    y.v[i] = activated + load<V>(residual + i * Isa::kLanes);
  }
  return y;
}

// Signs of the first plane, and of the second in the upper half.
template <typename Isa, bool kTwoOut>
[[gnu::always_inline]] inline uint32_t signs_of(const Floats<Isa>& y, const float* steps) {
  using V = typename Floats<Isa>::V;
  const auto bound = Floats<Isa>::of(steps + kBound * kFloatBlock);
  const uint32_t first = Isa::at_least(y.v, bound.v);
  if constexpr (!kTwoOut) return first;
  Floats<Isa> rest;
  for (size_t i = 0; i < Floats<Isa>::kVecs; ++i) {
    rest.v[i] = y.v[i] - (y.v[i] >= bound.v[i] ? V{} + 1.0f : V{} - 1.0f);
  }
  const auto second_bound = Floats<Isa>::of(steps + kSecondBound * kFloatBlock);
  return first | Isa::at_least(rest.v, second_bound.v) << 16;
}

// Writes y of 16 channels from c on and returns the signs.
template <typename Isa, bool kTwoOut>
[[gnu::always_inline]] inline uint32_t finish_floats(const FloatStage& stage, const Results& to,
                                                     size_t row, size_t c,
                                                     const Floats<Isa>& sums) {
  const float* steps = stage.steps + c * kSteps;
  const float* residual = to.residual + row * to.residual_stride + c;
  const Floats<Isa> y = values_of<Isa>(sums, steps, residual);
  if (to.y != nullptr) y.put(to.y + row * to.channels + c);
  return signs_of<Isa, kTwoOut>(y, steps);
}

// The same for the last channels, less than 16.
template <typename Isa>
[[gnu::noinline]] uint32_t finish_last_floats(const FloatStage& stage, const Results& to,
                                              size_t row, size_t c, const Floats<Isa>& sums) {
  const size_t n_bytes = (to.channels - c) * sizeof(float);
  const float* steps = stage.steps + c * kSteps;
  float part[kFloatBlock] = {};
  __builtin_memcpy(part, to.residual + row * to.residual_stride + c, n_bytes);
  const Floats<Isa> y = values_of<Isa>(sums, steps, part);
  y.put(part);
  if (to.y != nullptr) __builtin_memcpy(to.y + row * to.channels + c, part, n_bytes);
  const uint32_t there = (1u << (to.channels - c)) - 1;
  return signs_of<Isa, true>(y, steps) & (there | there << 16);
}

template <typename Isa>
[[gnu::always_inline]] inline void finish_block(const FloatStage& stage, const Results& to,
                                                size_t row, size_t c, const Floats<Isa>& sums) {
  const bool whole = to.channels - c >= kFloatBlock;
  uint8_t* bits = to.bits + row * to.bits_stride;
  if (to.plane_bytes == 0) {
    const uint32_t signs = whole ? finish_floats<Isa, false>(stage, to, row, c, sums)
                                 : finish_last_floats<Isa>(stage, to, row, c, sums);
    if (to.bits != nullptr) store_bits(to, bits, c, static_cast<uint16_t>(signs));
  } else {
    const uint32_t signs = whole ? finish_floats<Isa, true>(stage, to, row, c, sums)
                                 : finish_last_floats<Isa>(stage, to, row, c, sums);
    if (to.bits == nullptr) return;
    store_bits(to, bits, c, static_cast<uint16_t>(signs));
    store_bits(to, bits + to.plane_bytes, c, static_cast<uint16_t>(signs >> 16));
  }
}

// Counts of two planes if kTwo, else of one.
template <typename Isa, bool kTwo, typename Count>
[[gnu::always_inline]] inline Floats<Isa> sums_of(const FloatStage& stage, const Count* p,
                                                  const Count* second, const int32_t* base) {
  Floats<Isa> sums = sums_of<Isa>(p, base);
  if constexpr (kTwo) {
    const Floats<Isa> more = sums_of<Isa>(second, base);
    for (size_t v = 0; v < Floats<Isa>::kVecs; ++v) {
      sums.v[v] = sums.v[v] + more.v[v] * stage.plane_scale;
    }
  }
  return sums;
}

// As many channels as Word has bits, of which sums(i) are the sums of the i-th 16.
template <typename Isa, bool kTwoOut, typename Word, typename Sums>
[[gnu::always_inline]] inline void finish_whole(const FloatStage& stage, const Results& to,
                                                size_t row, size_t c, const Sums& sums) {
  Word bits[2] = {};
#pragma GCC unroll 4
  for (size_t i = 0; i < 8 * sizeof(Word) / kFloatBlock; ++i) {
    const size_t at = i * kFloatBlock;
    const uint32_t signs = finish_floats<Isa, kTwoOut>(stage, to, row, c + at, sums(i));
    bits[0] = static_cast<Word>(bits[0] | static_cast<Word>(signs & 0xFFFF) << at);
    bits[1] = static_cast<Word>(bits[1] | static_cast<Word>(signs >> 16) << at);
  }
  if (to.bits == nullptr) return;
  uint8_t* to_bits = to.bits + row * to.bits_stride;
  store_bits(to, to_bits, c, bits[0]);
  if constexpr (kTwoOut) store_bits(to, to_bits + to.plane_bytes, c, bits[1]);
}

template <typename Isa, typename Word, typename Sums>
[[gnu::always_inline]] inline void finish_whole(const FloatStage& stage, const Results& to,
                                                size_t row, size_t c, const Sums& sums) {
  if (to.plane_bytes == 0) {
    finish_whole<Isa, false, Word>(stage, to, row, c, sums);
  } else {
    finish_whole<Isa, true, Word>(stage, to, row, c, sums);
  }
}

// The last channels, less than 64.
template <typename Isa, bool kTwo, typename Count>
[[gnu::noinline]] void finish_last_counts(const FloatStage& stage, const Results& to, size_t row,
                                          size_t c, const Count* p, const Count* second,
                                          const int32_t* base) {
  for (size_t i = 0; c + i < to.channels; i += kFloatBlock) {
    finish_block<Isa>(stage, to, row, c + i,
                      sums_of<Isa, kTwo>(stage, p + i, second + i, base + i));
  }
}

template <typename Isa, bool kTwo, typename Count>
[[gnu::always_inline]] inline void finish_counts(const FloatStage& stage, const Results& to,
                                                 size_t row, size_t c, const Count* p,
                                                 const Count* second) {
  const int32_t* base = stage.base + class_of(to, row) * padded(to.channels) + c;
  if (to.channels - c < kColumnBlock) {
    finish_last_counts<Isa, kTwo>(stage, to, row, c, p, second, base);
    return;
  }
  finish_whole<Isa, uint64_t>(stage, to, row, c, [&](size_t i) __attribute__((always_inline)) {
    const size_t at = i * kFloatBlock;
    return sums_of<Isa, kTwo>(stage, p + at, second + at, base + at);
  });
}

// ---- whole rows ---------------------------------------------------------------------------------

template <typename Isa, bool kTwo, typename Stage>
[[gnu::always_inline]] inline void count_rows(const CountRows& from, const Stage& stage,
                                              const Results& to) {
  for (size_t row = 0; row < to.rows; ++row) {
    const uint16_t* p = from.p + row * from.stride;
    const uint16_t* second = kTwo ? from.second + row * from.stride : p;
    for (size_t c = 0; c < to.channels; c += kColumnBlock) {
      finish_counts<Isa, kTwo>(stage, to, row, c, p + c, second + c);
    }
  }
}

template <typename Isa, typename Stage>
void finish_count_rows(const CountRows* from, const Stage* stage, const Results* to) {
  if (from->second == nullptr) {
    count_rows<Isa, false>(*from, Stage(*stage), Results(*to));
  } else {
    count_rows<Isa, true>(*from, Stage(*stage), Results(*to));
  }
}

template <typename Isa>
void finish_float_rows(const FloatRows* from, const FloatStage* stage, const Results* results) {
  const FloatStage steps = *stage;
  const Results to = *results;
  for (size_t row = 0; row < to.rows; ++row) {
    const float* v = from->v + row * from->stride;
    size_t c = 0;
    for (; c + kFloatBlock <= to.channels; c += kFloatBlock) {
      finish_block<Isa>(steps, to, row, c, Floats<Isa>::of(v + c));
    }
    if (c == to.channels) continue;
    float part[kFloatBlock] = {};
    __builtin_memcpy(part, v + c, (to.channels - c) * sizeof(float));
    finish_block<Isa>(steps, to, row, c, Floats<Isa>::of(part));
  }
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_STAGES_H_
