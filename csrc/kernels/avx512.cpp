// AVX-512 with VPOPCNTDQ: Ice Lake and later, Zen 4 and later.
//
// Binary product: vpxord with 32 activation bits broadcast from memory, vpopcntd, vpaddd. One
//   32-bit lane is one output channel, so there is no horizontal sum. Per 32 bits of depth and
//   4 x 64 outputs: 16 of each, 4 loads of weights and 4 broadcasts.
// Throughput on Zen 4: vpopcntd 1 a cycle, vpaddd 2, vpxord with a broadcast 2. Lanes of 16 bits
//   (BITALG) would do as well there, but a 16-bit broadcast costs Intel cores the port that counts.
// Limit: the port of vpopcntd (port 5 on Ice Lake).
// Lanes are u32 and become u16 at the end: a count is at most kMaxDepthBits = 65535 by contract.
#ifdef BIFAST_SIMDE
// A test build: the same source on emulated instructions, for machines without AVX-512.
#include <simde/x86/avx512.h>
#else
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/table.h"

namespace bifast {
namespace {

// 32 counts as u16. vpackusdw packs within 128-bit quarters; vpermq puts them back in order
// (the masked form: GCC 12 warns about the undefined operand inside the plain one).
inline __m512i narrow(__m512i low, __m512i high) {
  const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  return _mm512_maskz_permutexvar_epi64(0xFF, order, _mm512_packus_epi32(low, high));
}

// kRows x 16 kPanels outputs. A panel of 16 channels has 4 bytes of depth of each channel in turn.
template <size_t kPanels, size_t kRows, typename Count>
[[gnu::always_inline]] inline void tile(const uint8_t* a, size_t stride, const uint8_t* panel,
                                        size_t depth_bytes, size_t c, Counts<kRows, Count>& to) {
  const size_t panel_bytes = 16 * depth_bytes;
  __m512i counts[kRows][kPanels];
  const auto step = [&](size_t k, bool first) __attribute__((always_inline)) {
    __m512i w[kPanels];
#pragma GCC unroll 4
    for (size_t v = 0; v < kPanels; ++v)
      w[v] = _mm512_loadu_si512(panel + v * panel_bytes + 16 * k);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      const __m512i x = _mm512_set1_epi32(load<int32_t>(a + r * stride + k));
#pragma GCC unroll 4
      for (size_t v = 0; v < kPanels; ++v) {
        const __m512i differing = _mm512_popcnt_epi32(_mm512_xor_si512(w[v], x));
        counts[r][v] = first ? differing : _mm512_add_epi32(counts[r][v], differing);
      }
    }
  };
  step(0, true);
  for (size_t k = 4; k < depth_bytes; k += 4) step(k, false);
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) {
    if constexpr (sizeof(Count) == 4) {
#pragma GCC unroll 4
      for (size_t v = 0; v < kPanels; ++v) {
        _mm512_storeu_si512(to.p[r] + c + 16 * v, counts[r][v]);
      }
    } else if constexpr (kPanels == 1) {
      const __m512i twice = narrow(counts[r][0], counts[r][0]);
      __builtin_memcpy(to.p[r] + c, &twice, 16 * sizeof(uint16_t));
    } else {
#pragma GCC unroll 2
      for (size_t v = 0; v < kPanels; v += 2) {
        _mm512_storeu_si512(to.p[r] + c + 16 * v, narrow(counts[r][v], counts[r][v + 1]));
      }
    }
  }
}

inline uint64_t at_most_32(const uint16_t* p, const uint16_t* limit) {
  return _mm512_cmple_epu16_mask(_mm512_loadu_si512(p), _mm512_loadu_si512(limit));
}

struct Bytes {
  static constexpr size_t kChannels = 16;
  using Sums = __m512i;
  using Inputs = __m512i;
  using Weights = __m512i;
  static Inputs inputs(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  static Weights weights(const int8_t* w) { return _mm512_loadu_si512(w); }
  static Sums add(Sums sums, const Inputs& x, const Weights& w) {
    return _mm512_dpbusd_epi32(sums, x, w);
  }
};

struct Avx512 {
  static constexpr size_t kTileCols = 16, kTileBytes = 4;
  static constexpr size_t kLanes = 16, kFloatRows = 4, kRowsOfFourSums = 4;
  using Bytes = bifast::Bytes;
  static constexpr size_t kByteRows = 4, kByteVecs = 4;
  using FloatCount = uint32_t;
  static constexpr size_t kCountLanes = 16, kFrames = 4;

  template <size_t kRows, typename Count>
  [[gnu::noinline]] static void count(const uint8_t* a, size_t stride, const uint8_t* panel,
                                      size_t depth_bytes, size_t cols,
                                      Counts<kRows, Count>& counts) {
    size_t c = 0;
    for (; c + 64 <= cols; c += 64) {
      tile<4>(a, stride, panel + c * depth_bytes, depth_bytes, c, counts);
    }
    if (c + 32 <= cols) {
      tile<2>(a, stride, panel + c * depth_bytes, depth_bytes, c, counts);
      c += 32;
    }
    if (c < cols) tile<1>(a, stride, panel + c * depth_bytes, depth_bytes, c, counts);
  }

  static Vec<int32_t, 16> widen(const uint32_t* p) { return load<Vec<int32_t, 16>>(p); }
  static Vec<int32_t, 16> widen(const uint16_t* p) {
    return __builtin_convertvector(load<Vec<uint16_t, 16>>(p), Vec<int32_t, 16>);
  }

  static uint64_t at_most(const uint16_t* p, const uint16_t* limit) {
    return at_most_32(p, limit) | at_most_32(p + 32, limit + 32) << 32;
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
