// AVX-512 with VPOPCNTDQ: Ice Lake and later, Zen 4 and later.
//
// Binary product: vpxord with 32 activation bits broadcast from memory, vpopcntd, vpaddd. One
//   32-bit lane is one output channel, so there is no horizontal sum. Per 32 bits of depth and
//   4 x 64 outputs: 16 of each, 4 loads of weights and 4 broadcasts.
// Throughput on Zen 4: vpopcntd 1 a cycle, vpaddd 2, vpxord with a broadcast 2. Lanes of 16 bits
//   (BITALG) would do as well there, but a 16-bit broadcast costs Intel cores the port that counts.
// Limit: the two ports of 512-bit vectors (0 and 5 on Ice Lake and later, vpopcntd on 5 alone):
//   three operations take 1.5 cycles. Counts meet their thresholds or scales in registers.
#ifdef BIFAST_SIMDE
// A test build: the same source on emulated instructions, for machines without AVX-512.
#include <simde/x86/avx512.h>
#else
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/kernels.h"
#include "kernels/table.h"

namespace bifast {
namespace {

// No instruction: GCC 12 would start more popcounts than there are registers.
[[gnu::always_inline]] inline void keep([[maybe_unused]] __m512i& counts) {
#ifndef BIFAST_SIMDE
  asm("" : "+v"(counts));
#endif
}

// Counts of kRows x 16 kVecs outputs, in registers. A panel of 16 channels has 4 bytes of depth of
// each channel in turn.
template <size_t kRows, size_t kVecs>
[[gnu::always_inline]] inline void count_tile(const uint8_t* a, size_t stride, const uint8_t* panel,
                                              size_t depth_bytes, __m512i (&counts)[kRows][kVecs]) {
  const auto step = [&](size_t k, bool first) __attribute__((always_inline)) {
    __m512i w[kVecs];
#pragma GCC unroll 4
    for (size_t v = 0; v < kVecs; ++v) {
      w[v] = _mm512_loadu_si512(panel + 16 * (v * depth_bytes + k));
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      const __m512i x = _mm512_set1_epi32(load<int32_t>(a + r * stride + k));
#pragma GCC unroll 4
      for (size_t v = 0; v < kVecs; ++v) {
        const __m512i differing = _mm512_popcnt_epi32(_mm512_xor_si512(w[v], x));
        counts[r][v] = first ? differing : _mm512_add_epi32(counts[r][v], differing);
        keep(counts[r][v]);
      }
    }
  };
  step(0, true);
  if (kRows == 4 && kVecs == 4 && depth_bytes == 16) {  // so short that the loop would cost
    step(4, false);
    step(8, false);
    step(12, false);
    return;
  }
  for (size_t k = 4; k < depth_bytes; k += 4) step(k, false);
}

inline __m512i widen_16(const uint16_t* p) {
#ifdef BIFAST_SIMDE  // has not got it
  return reinterpret_cast<__m512i>(widen_counts<16>(p));
#else
  // The masked form: GCC 12 warns about the undefined operand inside the plain one.
  return _mm512_maskz_cvtepu16_epi32(0xFFFF,
                                     _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#endif
}

template <size_t kVecs>
using WordOf =
    std::conditional_t<kVecs == 4, uint64_t, std::conditional_t<kVecs == 2, uint32_t, uint16_t>>;

inline uint64_t at_most_32(const uint16_t* p, const uint16_t* limit) {
  return _mm512_cmple_epu16_mask(_mm512_loadu_si512(p), _mm512_loadu_si512(limit));
}

// vpdpbusd takes 4 cycles or more, and one or two start in each.
struct Bytes {
  static constexpr size_t kChains = 8, kGroups = 1, kMostGroups = SIZE_MAX;
  using Sums = __m512i;
  template <size_t n>
  struct Inputs {
    __m512i x;
    Inputs(const uint8_t* a, const uint32_t* offset)
        : x(_mm512_set1_epi32(load<int32_t>(a + *offset))) {}
  };
  template <size_t n>
  [[gnu::always_inline]] static void add(Sums& sums, const Inputs<n>& x, const int8_t* w, size_t) {
    sums = _mm512_dpbusd_epi32(sums, x.x, _mm512_loadu_si512(w));
    keep(sums);
  }
  static void join(Sums& sums, const Sums& more) { sums = _mm512_add_epi32(sums, more); }
  static Ints<16> to_ints(const Sums& sums, const int32_t*) {
    return {{reinterpret_cast<Vec<int32_t, 16>>(sums)}};
  }
};

struct Avx512 {
  static constexpr size_t kTileCols = 16, kTileBytes = 4;
  static constexpr size_t kLanes = 16, kFloatRows = 4, kRowsOfFourSums = 4;
  using Bytes = bifast::Bytes;
  static constexpr size_t kByteRows = 8, kByteBlocks = 2;
  static constexpr size_t kCountLanes = 16;

  // What the front-end fuses.
  static Vec<float, 16> add_product(Vec<float, 16> c, Vec<float, 16> a, Vec<float, 16> b) {
#ifdef BIFAST_SIMDE
    return fused_by_element<16>(c, a, b);
#else
    return _mm512_fmadd_ps(a, b, c);
#endif
  }
  static Vec<float, 16> subtract_product(Vec<float, 16> c, Vec<float, 16> a, Vec<float, 16> b) {
#ifdef BIFAST_SIMDE
    return fused_by_element<16>(c, -a, b);
#else
    return _mm512_fnmadd_ps(a, b, c);
#endif
  }
  static void keep([[maybe_unused]] Vec<float, 16>& v) {
#ifndef BIFAST_SIMDE
    asm("" : "+v"(v));
#endif
  }

  static constexpr bool kOwnRows = true;

  // Counts do not leave the registers.
  template <bool kTwo, size_t kRows, typename Stage>
  [[gnu::always_inline]] static void binary_rows(const BinaryProduct& product, const Stage& stage,
                                                 const Results& to, size_t row) {
    constexpr size_t kMost = kTwo ? 2 : 4;  // 16 vectors of counts
    for (size_t c = 0; c < to.channels;) {
      const size_t left = to.channels - c;
      if (left > 16 * (kMost - 1)) {
        columns<kTwo, kRows, kMost>(product, stage, to, row, c);
        c += 16 * kMost;
      } else if (kMost > 2 && left > 16) {
        columns<kTwo, kRows, 2>(product, stage, to, row, c);
        c += 32;
      } else {
        columns<kTwo, kRows, 1>(product, stage, to, row, c);
        c += 16;
      }
    }
  }

  template <bool kTwo, size_t kRows, size_t kVecs>
  [[gnu::always_inline]] static void columns(const BinaryProduct& product,
                                             const ThresholdStage& stage, const Results& to,
                                             size_t row, size_t c) {
    __m512i counts[kRows][kVecs];
    count_tile(product.a + row * product.stride, product.stride,
               product.panel + c * product.depth_bytes, product.depth_bytes, counts);
    using Word = WordOf<kVecs>;
    Word bits[kRows];
    __m512i limits[kVecs];
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      const size_t at = class_of(to, row + r) * padded(to.channels) + c;
      if (r == 0 || to.classes != nullptr) {
#pragma GCC unroll 4
        for (size_t v = 0; v < kVecs; ++v) limits[v] = widen_16(stage.limit + at + 16 * v);
      }
      bits[r] = load<Word>(stage.flip + at / 8);
#pragma GCC unroll 4
      for (size_t v = 0; v < kVecs; ++v) {
        const auto mask = _mm512_cmple_epu32_mask(counts[r][v], limits[v]);
        bits[r] = static_cast<Word>(bits[r] ^ static_cast<Word>(mask) << 16 * v);
      }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      store_bits(to, to.bits + (row + r) * to.bits_stride, c, bits[r]);
    }
  }

  template <bool kTwo, size_t kRows, size_t kVecs>
  [[gnu::always_inline]] static void columns(const BinaryProduct& product, const FloatStage& stage,
                                             const Results& to, size_t row, size_t c) {
    const uint8_t* a = product.a + row * product.stride;
    const uint8_t* panel = product.panel + c * product.depth_bytes;
    __m512i counts[kTwo ? 2 : 1][kRows][kVecs];
    count_tile(a, product.stride, panel, product.depth_bytes, counts[0]);
    if constexpr (kTwo) {
      count_tile(a + product.plane_bytes, product.stride, panel, product.depth_bytes, counts[1]);
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      const int32_t* base = stage.base + class_of(to, row + r) * padded(to.channels) + c;
      if (to.channels - c < 16 * kVecs) {
        alignas(64) uint32_t last[2][16 * kVecs];
#pragma GCC unroll 4
        for (size_t v = 0; v < kVecs; ++v) {
          store(last[0] + 16 * v, counts[0][r][v]);
          if constexpr (kTwo) store(last[1] + 16 * v, counts[1][r][v]);
        }
        finish_last_counts<Avx512, kTwo>(stage, to, row + r, c, last[0], last[1], base);
        continue;
      }
      finish_whole<Avx512, WordOf<kVecs>>(
          stage, to, row + r, c, [&](size_t v) __attribute__((always_inline)) {
            Floats<Avx512> sums{{sum(counts[0][r][v], base + 16 * v)}};
            if constexpr (kTwo) {
              sums.v[0] += sum(counts[1][r][v], base + 16 * v) * stage.plane_scale;
            }
            return sums;
          });
    }
  }

  // Bits of counts are masks.
  class Spread {
   public:
    template <typename W>
    [[gnu::always_inline]] explicit Spread(const W (&planes)[3]) {
      for (size_t i = 0; i < 3; ++i) store(planes_[i], planes[i]);
    }
    [[gnu::always_inline]] Floats<Avx512> sums(size_t i, size_t n_taps) const {
      __m512 sum = _mm512_set1_ps(static_cast<float>(static_cast<int>(n_taps)));
      for (size_t plane = 0; plane < 3; ++plane) {
        const auto set = load<uint16_t>(planes_[plane] + 2 * i);
        sum = _mm512_mask_sub_ps(sum, set, sum, _mm512_set1_ps(static_cast<float>(2 << plane)));
      }
      return {{reinterpret_cast<Vec<float, 16>>(sum)}};
    }

   private:
    uint8_t planes_[3][16];
  };

  static Vec<float, 16> sum(__m512i counts, const int32_t* base) {
    const auto p = reinterpret_cast<Vec<int32_t, 16>>(counts);
    return __builtin_convertvector(load<Vec<int32_t, 16>>(base) - (p + p), Vec<float, 16>);
  }

  static Vec<int32_t, 16> widen(const uint32_t* p) { return load<Vec<int32_t, 16>>(p); }
  static Vec<int32_t, 16> widen(const uint16_t* p) {
    return reinterpret_cast<Vec<int32_t, 16>>(widen_16(p));
  }

  static uint64_t at_most(const uint16_t* p, const uint16_t* limit) {
    return at_most_32(p, limit) | at_most_32(p + 32, limit + 32) << 32;
  }

  static uint32_t more_than(const Vec<int32_t, 16>* sum, const Vec<int32_t, 16>* bound) {
    return _mm512_cmpgt_epi32_mask(reinterpret_cast<__m512i>(*sum),
                                   reinterpret_cast<__m512i>(*bound));
  }

  // 64 floats to bytes, none above 255, what is below 0 or no number to 0.
  static void put_bytes(const Vec<float, 16> (&y)[4], uint8_t* to) {
    const auto ints = [&](size_t i) {
      return reinterpret_cast<__m512i>(__builtin_convertvector(y[i], Vec<int32_t, 16>));
    };
    const __m512i packed = _mm512_packus_epi16(_mm512_packus_epi32(ints(0), ints(1)),
                                               _mm512_packus_epi32(ints(2), ints(3)));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    // The masked form: GCC 12 warns about the undefined operand inside the plain one.
    _mm512_storeu_si512(to, _mm512_maskz_permutexvar_epi32(0xFFFF, order, packed));
  }

  static uint32_t at_least(const Vec<float, 16>* y, const Vec<float, 16>* bound) {
    return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(*y), reinterpret_cast<__m512>(*bound),
                              _CMP_GE_OQ);
  }
};

}  // namespace

extern const Kernels avx512_kernels;
constinit const Kernels avx512_kernels = kernels_of<Avx512>("avx512");

}  // namespace bifast
