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

#include "kernels/bytes.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/log_mel.h"

namespace bifast {
namespace {

// 32 counts as u16. vpackusdw packs within 128-bit quarters; vpermq puts them back in order
// (the masked form: GCC 12 warns about the undefined operand inside the plain one).
inline __m512i narrow(__m512i low, __m512i high) {
  const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  return _mm512_maskz_permutexvar_epi64(0xFF, order, _mm512_packus_epi32(low, high));
}

// kRows x 16 kPanels outputs. A panel of 16 channels has 4 bytes of depth of each channel in turn.
template <size_t kRows, size_t kPanels>
inline void tile(const uint8_t* a, size_t a_stride, const uint8_t* panel, uint16_t* p,
                 size_t p_stride, size_t depth_bytes) {
  const size_t panel_bytes = 16 * depth_bytes;
  __m512i counts[kRows][kPanels];
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kPanels; ++v) counts[r][v] = _mm512_setzero_si512();
  }
  for (size_t k = 0; k < depth_bytes; k += 4) {
    __m512i w[kPanels];
#pragma GCC unroll 4
    for (size_t v = 0; v < kPanels; ++v)
      w[v] = _mm512_loadu_si512(panel + v * panel_bytes + 16 * k);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      const __m512i x = _mm512_set1_epi32(load<int32_t>(a + r * a_stride + k));
#pragma GCC unroll 4
      for (size_t v = 0; v < kPanels; ++v) {
        const __m512i differing = _mm512_popcnt_epi32(_mm512_xor_si512(w[v], x));
        counts[r][v] = _mm512_add_epi32(counts[r][v], differing);
      }
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) {
    uint16_t* out = p + r * p_stride;
    if constexpr (kPanels == 1) {
      const __m512i twice = narrow(counts[r][0], counts[r][0]);
      __builtin_memcpy(out, &twice, 16 * sizeof(uint16_t));
    } else {
      _mm512_storeu_si512(out, narrow(counts[r][0], counts[r][1]));
      _mm512_storeu_si512(out + 32, narrow(counts[r][2], counts[r][3]));
    }
  }
}

template <size_t kRows>
void columns(const uint8_t* a, size_t a_stride, const uint8_t* panel, uint16_t* p, size_t p_stride,
             size_t cols, size_t depth_bytes) {
  size_t c = 0;
  for (; c + 64 <= cols; c += 64, panel += 64 * depth_bytes) {
    tile<kRows, 4>(a, a_stride, panel, p + c, p_stride, depth_bytes);
  }
  for (; c < cols; c += 16, panel += 16 * depth_bytes) {
    tile<kRows, 1>(a, a_stride, panel, p + c, p_stride, depth_bytes);
  }
}

void binary_matmul(const uint8_t* a, size_t a_stride, const uint8_t* panel, uint16_t* p,
                   size_t p_stride, size_t rows, size_t cols, size_t depth_bytes) {
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    columns<4>(a + r * a_stride, a_stride, panel, p + r * p_stride, p_stride, cols, depth_bytes);
  }
  const uint8_t* last = a + r * a_stride;
  uint16_t* out = p + r * p_stride;
  switch (rows - r) {
    case 3:
      columns<3>(last, a_stride, panel, out, p_stride, cols, depth_bytes);
      break;
    case 2:
      columns<2>(last, a_stride, panel, out, p_stride, cols, depth_bytes);
      break;
    case 1:
      columns<1>(last, a_stride, panel, out, p_stride, cols, depth_bytes);
      break;
    default:
      break;
  }
}

inline uint64_t threshold_32(const uint16_t* p, const uint16_t* limit) {
  return _mm512_cmple_epu16_mask(_mm512_loadu_si512(p), _mm512_loadu_si512(limit));
}

uint64_t threshold_block(const uint16_t* p, const uint16_t* limit) {
  return threshold_32(p, limit) | threshold_32(p + 32, limit + 32) << 32;
}

uint64_t sign_block(const float* x) {
  uint64_t word = 0;
  for (size_t i = 0; i < 4; ++i) {
    const __m512 v = _mm512_loadu_ps(x + 16 * i);
    word |= static_cast<uint64_t>(_mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GE_OQ))
            << (16 * i);
  }
  return word;
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

}  // namespace

extern const Kernels avx512_kernels;
constinit const Kernels avx512_kernels = {
    .name = "avx512",
    .tile_cols = 16,
    .tile_bytes = 4,
    .frame_lanes = 2,
    .binary_matmul = binary_matmul,
    .threshold_row = threshold_row<threshold_block>,
    .sign_row = sign_row<sign_block>,
    .memory_row = memory_row<16>,
    .affine_counts = affine_counts<16>,
    .affine_floats = affine_floats<16>,
    .float_matmul = float_matmul<16, 8>,
    .byte_matmul = byte_matmul<Bytes, 4, 4>,
    .log_mel = log_mel<2>,
};

}  // namespace bifast
