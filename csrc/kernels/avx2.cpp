// AVX2: x86 since Haswell (2013) and Zen.
//
// Binary product: nibble look-up. Row i of a table holds popcount(i xor j) for j = 0 .. 15; an
//   activation nibble picks the row, and vpshufb looks the weights' nibbles up in it. One byte lane
//   is one output channel, so there is no horizontal sum. Per byte of depth and 4 x 64 outputs:
//   16 vpshufb, 16 vpaddb, 8 vbroadcasti128 (loads) and 6 operations to split the weights. Where
//   the rows of the table start is worked out once for all columns.
// Throughput: vpshufb 2 a cycle on Zen 2 and Ice Lake or later, 1 on Haswell to Skylake (port 5).
// Limit: port 5 on Haswell and Skylake; elsewhere instruction issue.
// Lanes are u8: at most 31 bytes of depth (31 * 8 <= 255) before they are widened to u16.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/bytes.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/log_mel.h"

namespace bifast {
namespace {

constexpr size_t kChunk = 31;
constexpr size_t kRows = 4;

struct NibbleTable {
  alignas(64) uint8_t rows[16][16];
};

constexpr NibbleTable nibble_table() {
  NibbleTable table{};
  for (unsigned i = 0; i < 16; ++i) {
    for (unsigned j = 0; j < 16; ++j) {
      for (unsigned bit = 0; bit < 4; ++bit) {
        table.rows[i][j] = static_cast<uint8_t>(table.rows[i][j] + (((i ^ j) >> bit) & 1u));
      }
    }
  }
  return table;
}

constexpr NibbleTable kNibbles = nibble_table();

// Where the table's rows for the nibbles of one chunk of activations start, in bytes.
struct Offsets {
  uint8_t low[kRows][kChunk], high[kRows][kChunk];
};

inline void split_16(__m128i bytes, uint8_t* low, uint8_t* high) {
  const __m128i high_nibble = _mm_set1_epi8(static_cast<char>(0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(low),
                   _mm_and_si128(_mm_slli_epi16(bytes, 4), high_nibble));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(high), _mm_and_si128(bytes, high_nibble));
}

inline void split(const uint8_t* a, size_t bytes, uint8_t* low, uint8_t* high) {
  if (bytes < 16) {
    for (size_t k = 0; k < bytes; ++k) {
      low[k] = static_cast<uint8_t>(a[k] << 4);
      high[k] = a[k] & 0xF0;
    }
    return;
  }
  const size_t last = bytes - 16;  // the second vector overlaps the first, so as to end at `bytes`
  split_16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a)), low, high);
  split_16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + last)), low + last, high + last);
}

inline __m256i table_row(uint8_t offset) {
  return _mm256_broadcastsi128_si256(
      _mm_load_si128(reinterpret_cast<const __m128i*>(kNibbles.rows[0] + offset)));
}

// Stores 32 u8 counts as u16, or adds them to what is there.
inline void widen_32(__m256i counts, uint16_t* p, bool add) {
  auto* to = reinterpret_cast<__m256i*>(p);
  __m256i low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(counts));
  __m256i high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(counts, 1));
  if (add) {
    low = _mm256_add_epi16(low, _mm256_loadu_si256(to));
    high = _mm256_add_epi16(high, _mm256_loadu_si256(to + 1));
  }
  _mm256_storeu_si256(to, low);
  _mm256_storeu_si256(to + 1, high);
}

// n_rows x 32 n_panels outputs over `bytes` <= kChunk bytes of depth.
template <size_t n_rows, size_t n_panels>
inline void tile(const Offsets& a, const uint8_t* panel, size_t panel_bytes, size_t bytes,
                 uint16_t* p, size_t p_stride, bool add) {
  const __m256i low_nibble = _mm256_set1_epi8(0x0F);
  __m256i counts[n_rows][n_panels];
  for (size_t r = 0; r < n_rows; ++r) {
    for (size_t v = 0; v < n_panels; ++v) counts[r][v] = _mm256_setzero_si256();
  }
  const auto look_up = [&](size_t r, uint8_t offset,
                           const __m256i* w) __attribute__((always_inline)) {
    const __m256i row = table_row(offset);
    for (size_t v = 0; v < n_panels; ++v) {
      counts[r][v] = _mm256_add_epi8(counts[r][v], _mm256_shuffle_epi8(row, w[v]));
      // No instruction: GCC would first add the look-ups of both nibbles, for which there are no
      // registers.
      asm("" : "+x"(counts[r][v]));
    }
  };
  for (size_t k = 0; k < bytes; ++k) {
    __m256i w[n_panels], half[n_panels];
    for (size_t v = 0; v < n_panels; ++v) {
      w[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + v * panel_bytes + 32 * k));
      half[v] = _mm256_and_si256(w[v], low_nibble);
    }
    for (size_t r = 0; r < n_rows; ++r) look_up(r, a.low[r][k], half);
    for (size_t v = 0; v < n_panels; ++v) {
      half[v] = _mm256_and_si256(_mm256_srli_epi16(w[v], 4), low_nibble);
    }
    for (size_t r = 0; r < n_rows; ++r) look_up(r, a.high[r][k], half);
  }
  for (size_t r = 0; r < n_rows; ++r) {
    for (size_t v = 0; v < n_panels; ++v) widen_32(counts[r][v], p + r * p_stride + 32 * v, add);
  }
}

template <size_t n_rows>
void rows_of(const uint8_t* a, size_t a_stride, const uint8_t* panels, uint16_t* p, size_t p_stride,
             size_t cols, size_t depth_bytes) {
  const size_t panel_bytes = 32 * depth_bytes;
  const size_t n_chunks = (depth_bytes + kChunk - 1) / kChunk;
  const size_t chunk = (depth_bytes + n_chunks - 1) / n_chunks;
  for (size_t k = 0; k < depth_bytes; k += chunk) {
    const size_t bytes = depth_bytes - k < chunk ? depth_bytes - k : chunk;
    Offsets offsets;
    for (size_t r = 0; r < n_rows; ++r) {
      split(a + r * a_stride + k, bytes, offsets.low[r], offsets.high[r]);
    }
    const uint8_t* panel = panels + 32 * k;
    size_t c = 0;
    for (; c + 64 <= cols; c += 64, panel += 2 * panel_bytes) {
      tile<n_rows, 2>(offsets, panel, panel_bytes, bytes, p + c, p_stride, k != 0);
    }
    if (c != cols) tile<n_rows, 1>(offsets, panel, panel_bytes, bytes, p + c, p_stride, k != 0);
  }
}

void binary_matmul(const uint8_t* a, size_t a_stride, const uint8_t* panel, uint16_t* p,
                   size_t p_stride, size_t rows, size_t cols, size_t depth_bytes) {
  size_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    rows_of<kRows>(a + r * a_stride, a_stride, panel, p + r * p_stride, p_stride, cols,
                   depth_bytes);
  }
  const uint8_t* last = a + r * a_stride;
  uint16_t* out = p + r * p_stride;
  switch (rows - r) {
    case 3:
      rows_of<3>(last, a_stride, panel, out, p_stride, cols, depth_bytes);
      break;
    case 2:
      rows_of<2>(last, a_stride, panel, out, p_stride, cols, depth_bytes);
      break;
    case 1:
      rows_of<1>(last, a_stride, panel, out, p_stride, cols, depth_bytes);
      break;
    default:
      break;
  }
}

// All ones where p <= limit; there is no unsigned comparison, but min(p, limit) == p says the same.
inline __m256i at_most(const uint16_t* p, const uint16_t* limit) {
  const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i bound = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(limit));
  return _mm256_cmpeq_epi16(_mm256_min_epu16(v, bound), v);
}

inline uint64_t threshold_32(const uint16_t* p, const uint16_t* limit) {
  // vpacksswb packs within 128-bit halves: 0 2 1 3 puts the quarters back in order.
  const __m256i packed = _mm256_packs_epi16(at_most(p, limit), at_most(p + 16, limit + 16));
  const __m256i bytes = _mm256_permute4x64_epi64(packed, 0xD8);
  return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
}

uint64_t threshold_block(const uint16_t* p, const uint16_t* limit) {
  return threshold_32(p, limit) | threshold_32(p + 32, limit + 32) << 32;
}

inline __m256i not_negative(const float* x) {
  return _mm256_castps_si256(_mm256_cmp_ps(_mm256_loadu_ps(x), _mm256_setzero_ps(), _CMP_GE_OQ));
}

inline uint64_t sign_32(const float* x) {
  const __m256i low = _mm256_packs_epi32(not_negative(x), not_negative(x + 8));
  const __m256i high = _mm256_packs_epi32(not_negative(x + 16), not_negative(x + 24));
  // Both packings work within 128-bit halves, so groups of four come out as 0 2 4 6 1 3 5 7.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
  return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
}

uint64_t sign_block(const float* x) { return sign_32(x) | sign_32(x + 32) << 32; }

// Bytes as pairs of 16 bits: the even ones of both operands, then the odd ones. vpmaddubsw would
// saturate.
struct Bytes {
  static constexpr size_t kChannels = 8;
  using Sums = __m256i;
  struct Pairs {
    __m256i even, odd;
  };
  using Inputs = Pairs;
  using Weights = Pairs;
  static Inputs inputs(uint32_t x) {
    return {_mm256_set1_epi32(static_cast<int>(x & 0x00FF00FFu)),
            _mm256_set1_epi32(static_cast<int>(x >> 8 & 0x00FF00FFu))};
  }
  static Weights weights(const int8_t* w) {
    const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    return {_mm256_srai_epi16(_mm256_slli_epi16(word, 8), 8), _mm256_srai_epi16(word, 8)};
  }
  static Sums add(Sums sums, const Inputs& x, const Weights& w) {
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(x.even, w.even));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(x.odd, w.odd));
  }
};

}  // namespace

extern const Kernels avx2_kernels;
constinit const Kernels avx2_kernels = {
    .name = "avx2",
    .tile_cols = 32,
    .tile_bytes = 1,
    .frame_lanes = 2,
    .binary_matmul = binary_matmul,
    .threshold_row = threshold_row<threshold_block>,
    .sign_row = sign_row<sign_block>,
    .memory_row = memory_row<16>,
    .affine_counts = affine_counts<8>,
    .affine_floats = affine_floats<8>,
    .float_matmul = float_matmul<8, 4>,
    .byte_matmul = byte_matmul<Bytes, 4, 2>,
    .log_mel = log_mel<2>,
};

}  // namespace bifast
