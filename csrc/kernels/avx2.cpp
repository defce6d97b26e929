// AVX2: x86 since Haswell (2013) and Zen.
//
// Binary product: nibble look-up. Row i of a table holds popcount(i xor j) for j = 0 .. 15; an
//   activation nibble picks the row, and vpshufb looks the weights' nibbles up in it. One byte lane
//   is one output channel, so there is no horizontal sum. Per byte of depth and 4 x 64 outputs:
//   16 vpshufb, 16 vpaddb, 8 vbroadcasti128 (loads) and 6 operations to split the weights. Where
//   the rows of the table start is worked out once for all columns.
// Throughput: vpshufb 2 a cycle on Zen 2 and Ice Lake or later, 1 on Haswell to Skylake (port 5).
// Limit: port 5 on Haswell and Skylake; elsewhere instruction issue.
// Lanes are u8: at most 31 bytes of depth (31 * 8 <= 255) before they are widened to u16. Where
//   thresholds end a layer of up to 32 bytes, they meet the u8 in registers: 256 saturates to 255,
//   which only a limit of 255 could tell from it.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/kernels.h"
#include "kernels/table.h"

namespace bifast {
namespace {

constexpr size_t kChunk = 31;
constexpr size_t kMostBytes = 32;

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

inline void split_16(__m128i bytes, uint8_t* low, uint8_t* high) {
  const __m128i high_nibble = _mm_set1_epi8(static_cast<char>(0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(low),
                   _mm_and_si128(_mm_slli_epi16(bytes, 4), high_nibble));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(high), _mm_and_si128(bytes, high_nibble));
}

// Where the table's rows for the nibbles of one chunk of activations start, in bytes.
template <size_t kRows>
struct Offsets {
  uint8_t low[kRows][kMostBytes], high[kRows][kMostBytes];

  void fill(const uint8_t* a, size_t stride, size_t bytes) {
    for (size_t r = 0; r < kRows; ++r, a += stride) {
      size_t k = 0;
      for (; k + 16 <= bytes; k += 16) fill_16(a, r, k);
      if (k == bytes) continue;
      if (bytes >= 16) {
        fill_16(a, r, bytes - 16);
        continue;
      }
      for (; k < bytes; ++k) {
        low[r][k] = static_cast<uint8_t>(a[k] << 4);
        high[r][k] = a[k] & 0xF0;
      }
    }
  }
  void fill_16(const uint8_t* a, size_t r, size_t k) {
    split_16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + k)), low[r] + k, high[r] + k);
  }
};

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

// Counts of kRows x 32 kPanels outputs over `bytes` <= kMostBytes bytes of depth.
template <size_t kPanels, size_t kRows>
[[gnu::always_inline]] inline void count_bytes(const Offsets<kRows>& a, const uint8_t* panel,
                                               size_t panel_bytes, size_t bytes,
                                               __m256i (&counts)[kRows][kPanels]) {
  const __m256i low_nibble = _mm256_set1_epi8(0x0F);
  const auto look_up = [&](size_t r, uint8_t offset,
                           const __m256i* w) __attribute__((always_inline)) {
    const __m256i row = table_row(offset);
#pragma GCC unroll 2
    for (size_t v = 0; v < kPanels; ++v) {
      counts[r][v] = _mm256_adds_epu8(counts[r][v], _mm256_shuffle_epi8(row, w[v]));
      // No instruction: GCC would first add the look-ups of both nibbles, for which there are no
      // registers.
      asm("" : "+x"(counts[r][v]));
    }
  };
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kPanels; ++v) counts[r][v] = _mm256_setzero_si256();
  }
  for (size_t k = 0; k < bytes; ++k) {
    __m256i w[kPanels], half[kPanels];
#pragma GCC unroll 2
    for (size_t v = 0; v < kPanels; ++v) {
      w[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + v * panel_bytes + 32 * k));
      half[v] = _mm256_and_si256(w[v], low_nibble);
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) look_up(r, a.low[r][k], half);
#pragma GCC unroll 2
    for (size_t v = 0; v < kPanels; ++v) {
      half[v] = _mm256_and_si256(_mm256_srli_epi16(w[v], 4), low_nibble);
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) look_up(r, a.high[r][k], half);
  }
}

// The same from channel c on, widened.
template <size_t kPanels, size_t kRows>
inline void tile(const Offsets<kRows>& a, const uint8_t* panel, size_t panel_bytes, size_t bytes,
                 Counts<kRows, uint16_t>& to, size_t c, bool add) {
  __m256i counts[kRows][kPanels];
  count_bytes(a, panel, panel_bytes, bytes, counts);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kPanels; ++v) widen_32(counts[r][v], to.p[r] + c + 32 * v, add);
  }
}

// 32 limits of u8 counts.
struct Limits {
  __m256i bytes, are_255;

  void read(const uint16_t* limit) {
    const __m256i most = _mm256_set1_epi16(255);
    const __m256i low = _mm256_min_epu16(load<__m256i>(limit), most);
    const __m256i high = _mm256_min_epu16(load<__m256i>(limit + 16), most);
    // As in at_most_32.
    bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xD8);
    are_255 = _mm256_or_si256(_mm256_cmpeq_epi16(load<__m256i>(limit), most),
                              _mm256_cmpeq_epi16(load<__m256i>(limit + 16), most));
  }
  bool any_255() const { return _mm256_testz_si256(are_255, are_255) == 0; }
  uint32_t at_most(__m256i counts) const {
    return static_cast<uint32_t>(
        _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(counts, bytes), counts)));
  }
};

// All ones where p <= limit; there is no unsigned comparison, but min(p, limit) == p says the same.
inline __m256i masks(const uint16_t* p, const uint16_t* limit) {
  const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i bound = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(limit));
  return _mm256_cmpeq_epi16(_mm256_min_epu16(v, bound), v);
}

inline uint64_t at_most_32(const uint16_t* p, const uint16_t* limit) {
  // vpacksswb packs within 128-bit halves: 0 2 1 3 puts the quarters back in order.
  const __m256i packed = _mm256_packs_epi16(masks(p, limit), masks(p + 16, limit + 16));
  const __m256i bytes = _mm256_permute4x64_epi64(packed, 0xD8);
  return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
}

// Bytes as pairs of 16 bits: the even ones of both operands, then the odd ones. vpmaddubsw would
// saturate.
struct Bytes {
  static constexpr size_t kChains = 1, kGroups = 1, kMostGroups = SIZE_MAX;
  struct Sums {
    __m256i v[2];
  };
  template <size_t n>
  struct Inputs {
    __m256i even, odd;
    Inputs(const uint8_t* a, const uint32_t* offset) {
      const __m256i x = _mm256_set1_epi32(load<int32_t>(a + *offset));
      even = _mm256_and_si256(x, _mm256_set1_epi16(0xFF));
      odd = _mm256_srli_epi16(x, 8);
    }
  };
  template <size_t n>
  [[gnu::always_inline]] static void add(Sums& sums, const Inputs<n>& x, const int8_t* w, size_t) {
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; ++i) {
      const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w) + i);
      const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(word, 8), 8);
      sums.v[i] = _mm256_add_epi32(sums.v[i], _mm256_madd_epi16(x.even, even));
      const __m256i odd = _mm256_srai_epi16(word, 8);
      sums.v[i] = _mm256_add_epi32(sums.v[i], _mm256_madd_epi16(x.odd, odd));
    }
  }
  static void join(Sums&, const Sums&) {}
  static Ints<8> to_ints(const Sums& sums, const int32_t*) {
    return {{reinterpret_cast<Vec<int32_t, 8>>(sums.v[0]),
             reinterpret_cast<Vec<int32_t, 8>>(sums.v[1])}};
  }
};

struct Avx2 {
  static constexpr size_t kTileCols = 32, kTileBytes = 1;
  static constexpr size_t kLanes = 8, kFloatRows = 4, kRowsOfFourSums = 1;
  using Bytes = bifast::Bytes;
  static constexpr size_t kByteRows = 4, kByteBlocks = 1;
  using FloatCount = uint16_t;
  static constexpr size_t kCountLanes = 16;

  // What the front-end fuses.
  static Vec<float, 8> add_product(Vec<float, 8> c, Vec<float, 8> a, Vec<float, 8> b) {
    return _mm256_fmadd_ps(a, b, c);
  }
  static Vec<float, 8> subtract_product(Vec<float, 8> c, Vec<float, 8> a, Vec<float, 8> b) {
    return _mm256_fnmadd_ps(a, b, c);
  }
  static void keep(Vec<float, 8>& v) { asm("" : "+x"(v)); }

  template <size_t kRows>
  [[gnu::noinline]] static void count(const uint8_t* a, size_t stride, const uint8_t* panels,
                                      size_t depth_bytes, size_t cols,
                                      Counts<kRows, uint16_t>& counts) {
    const size_t panel_bytes = 32 * depth_bytes;
    const size_t n_chunks = (depth_bytes + kChunk - 1) / kChunk;
    const size_t chunk = (depth_bytes + n_chunks - 1) / n_chunks;
    for (size_t k = 0; k < depth_bytes; k += chunk) {
      const size_t bytes = depth_bytes - k < chunk ? depth_bytes - k : chunk;
      Offsets<kRows> offsets;
      offsets.fill(a + k, stride, bytes);
      const uint8_t* panel = panels + 32 * k;
      size_t c = 0;
      for (; c + 64 <= cols; c += 64, panel += 2 * panel_bytes) {
        tile<2>(offsets, panel, panel_bytes, bytes, counts, c, k != 0);
      }
      if (c != cols) tile<1>(offsets, panel, panel_bytes, bytes, counts, c, k != 0);
    }
  }

  // Counts of eight channels are nibbles of 32 bits; their sums are looked up.
  class Spread {
   public:
    template <typename W>
    [[gnu::always_inline]] explicit Spread(const W (&planes)[3]) {
      // Bits 0 and 1 of a nibble to bits 0 and 4; bits 2 and 3.
      const __m128i even = _mm_setr_epi8(0, 1, 16, 17, 0, 1, 16, 17, 0, 1, 16, 17, 0, 1, 16, 17);
      const __m128i odd = _mm_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 16, 16, 16, 16, 17, 17, 17, 17);
      const __m128i low_nibble = _mm_set1_epi8(0x0F);
      __m128i parts[4] = {};
      for (int i = 0; i < 3; ++i) {
        __m128i bits = _mm_setzero_si128();
        __builtin_memcpy(&bits, &planes[i], sizeof(W));
        const __m128i low = _mm_and_si128(bits, low_nibble);
        const __m128i high = _mm_and_si128(_mm_srli_epi16(bits, 4), low_nibble);
        const __m128i first = _mm_slli_epi16(even, i), second = _mm_slli_epi16(odd, i);
        parts[0] = _mm_or_si128(parts[0], _mm_shuffle_epi8(first, low));
        parts[1] = _mm_or_si128(parts[1], _mm_shuffle_epi8(second, low));
        parts[2] = _mm_or_si128(parts[2], _mm_shuffle_epi8(first, high));
        parts[3] = _mm_or_si128(parts[3], _mm_shuffle_epi8(second, high));
      }
      auto* to = reinterpret_cast<__m128i*>(nibbles_);
      const __m128i a = _mm_unpacklo_epi8(parts[0], parts[1]);
      const __m128i b = _mm_unpacklo_epi8(parts[2], parts[3]);
      const __m128i c = _mm_unpackhi_epi8(parts[0], parts[1]);
      const __m128i d = _mm_unpackhi_epi8(parts[2], parts[3]);
      _mm_store_si128(to, _mm_unpacklo_epi16(a, b));
      _mm_store_si128(to + 1, _mm_unpackhi_epi16(a, b));
      _mm_store_si128(to + 2, _mm_unpacklo_epi16(c, d));
      _mm_store_si128(to + 3, _mm_unpackhi_epi16(c, d));
    }
    [[gnu::always_inline]] Floats<Avx2> sums(size_t i, size_t n_taps) const {
      return {{eight(2 * i, n_taps), eight(2 * i + 1, n_taps)}};
    }

   private:
    [[gnu::always_inline]] Vec<float, 8> eight(size_t i, size_t n_taps) const {
      const __m256 table =
          _mm256_sub_ps(_mm256_set1_ps(static_cast<float>(static_cast<int>(n_taps))),
                        _mm256_setr_ps(0, 2, 4, 6, 8, 10, 12, 14));
      const __m256i place = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(nibbles_[i])),
                                              _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
      return reinterpret_cast<Vec<float, 8>>(_mm256_permutevar8x32_ps(table, place));
    }

    alignas(16) uint32_t nibbles_[16];
  };

  static constexpr bool kOwnRows = true;

  template <bool kTwo, size_t kRows>
  [[gnu::always_inline]] static void binary_rows(const BinaryProduct& product,
                                                 const FloatStage& stage, const Results& to,
                                                 size_t row) {
    bifast::binary_rows<Avx2, kTwo, kRows>(product, stage, to, row);
  }

  template <bool kTwo, size_t kRows>
  [[gnu::always_inline]] static void binary_rows(const BinaryProduct& product,
                                                 const ThresholdStage& stage, const Results& to,
                                                 size_t row) {
    if (product.depth_bytes > kMostBytes || !byte_rows<kRows>(product, stage, to, row)) {
      bifast::binary_rows<Avx2, kTwo, kRows>(product, stage, to, row);
    }
  }

  // False where a count of 256 could be taken for 255.
  template <size_t kRows>
  [[gnu::always_inline]] static bool byte_rows(const BinaryProduct& product,
                                               const ThresholdStage& stage, const Results& to,
                                               size_t row) {
    Offsets<kRows> offsets;
    offsets.fill(product.a + row * product.stride, product.stride, product.depth_bytes);
    size_t c = 0;
    for (; c + 32 < to.channels; c += 64) {
      if (!byte_columns<2>(offsets, product, stage, to, row, c)) return false;
    }
    return c >= to.channels || byte_columns<1>(offsets, product, stage, to, row, c);
  }

  template <size_t kPanels, size_t kRows>
  [[gnu::always_inline]] static bool byte_columns(const Offsets<kRows>& offsets,
                                                  const BinaryProduct& product,
                                                  const ThresholdStage& stage, const Results& to,
                                                  size_t row, size_t c) {
    using Word = std::conditional_t<kPanels == 2, uint64_t, uint32_t>;
    __m256i counts[kRows][kPanels];
    count_bytes(offsets, product.panel + c * product.depth_bytes, 32 * product.depth_bytes,
                product.depth_bytes, counts);
    Word bits[kRows];
    Limits limits[kPanels];
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      const size_t at = class_of(to, row + r) * padded(to.channels) + c;
      bits[r] = load<Word>(stage.flip + at / 8);
#pragma GCC unroll 2
      for (size_t v = 0; v < kPanels; ++v) {
        if (r == 0 || to.classes != nullptr) {
          limits[v].read(stage.limit + at + 32 * v);
          if (product.depth_bytes == kMostBytes && limits[v].any_255()) return false;
        }
        bits[r] ^= static_cast<Word>(limits[v].at_most(counts[r][v])) << 32 * v;
      }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      store_bits(to, to.bits + (row + r) * to.bits_stride, c, bits[r]);
    }
    return true;
  }

  static Vec<int32_t, 8> widen(const uint16_t* p) { return widen_counts<8>(p); }

  static uint64_t at_most(const uint16_t* p, const uint16_t* limit) {
    return at_most_32(p, limit) | at_most_32(p + 32, limit + 32) << 32;
  }

  static uint32_t more_than(const Vec<int32_t, 8>* sum, const Vec<int32_t, 8>* bound) {
    const auto bits = [&](size_t i) {
      return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(sum[i] > bound[i])));
    };
    return bits(0) | bits(1) << 8;
  }

  // 32 floats to bytes, none above 255, what is below 0 or no number to 0.
  static void put_bytes(const Vec<float, 8> (&y)[4], uint8_t* to) {
    const auto ints = [&](size_t i) { return _mm256_cvttps_epi32(reinterpret_cast<__m256>(y[i])); };
    const __m256i packed = _mm256_packus_epi16(_mm256_packus_epi32(ints(0), ints(1)),
                                               _mm256_packus_epi32(ints(2), ints(3)));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(packed, order));
  }

  static uint32_t at_least(const Vec<float, 8>* y, const Vec<float, 8>* bound) {
    return bits_of(y[0], bound[0]) | bits_of(y[1], bound[1]) << 8;
  }

 private:
  static uint32_t bits_of(Vec<float, 8> y, Vec<float, 8> bound) {
    return static_cast<uint32_t>(_mm256_movemask_ps(
        _mm256_cmp_ps(reinterpret_cast<__m256>(y), reinterpret_cast<__m256>(bound), _CMP_GE_OQ)));
  }
};

}  // namespace

extern const Kernels avx2_kernels;
constinit const Kernels avx2_kernels = kernels_of<Avx2>("avx2");

}  // namespace bifast
