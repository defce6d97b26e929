// Portable C++: runs everywhere, and every other instruction set is tested against it.
//
// Binary product: xor and SWAR popcount on 128 bits. The popcount instruction is not part of plain
//   x86-64, and __builtin_popcountll would call the C library for each word. Byte sums are kept
//   apart and added once per output: 12 operations a block, and about 10 an output.
// Limit: the integer or vector ALUs.
#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/table.h"

namespace bifast {
namespace {

// 128 bits: two plain registers where there are no vectors.
using Block = Vec<uint64_t, 2>;

// Each byte of the result counts the bits of the same byte of x: 0 .. 8.
[[gnu::always_inline]] inline Block byte_counts(Block x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  return (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
}

inline uint64_t sum_of_bytes(Block x) {
  const Block pairs = (x & 0x00FF00FF00FF00FFu) + ((x >> 8) & 0x00FF00FF00FF00FFu);
  return ((pairs[0] + pairs[1]) * 0x0001000100010001u) >> 48;
}

inline uint16_t count_differing(const uint8_t* a, const uint8_t* w, size_t depth_bytes) {
  constexpr size_t kChunk = 31 * sizeof(Block);  // a byte of `counts` stays at most 31 * 8 <= 255
  uint64_t total = 0;
  for (size_t start = 0; start < depth_bytes; start += kChunk) {
    const size_t end = depth_bytes - start < kChunk ? depth_bytes : start + kChunk;
    Block counts{};
    for (size_t k = start; k < end; k += sizeof(Block)) {
      counts += byte_counts(load<Block>(a + k) ^ load<Block>(w + k));
    }
    total += sum_of_bytes(counts);
  }
  return static_cast<uint16_t>(total);
}

// Products of bytes as floats: few processors multiply 32-bit integers in vectors, all multiply
// floats. Sums of 512 products are exact: 512 * 255 * 128 < 2^24.
struct FloatBytes {
  static constexpr size_t kChains = 1, kGroups = 1, kMostGroups = 128;
  struct Sums {
    Vec<float, 4> v[4];
  };
  template <size_t n>
  struct Inputs {
    float x[4];
    Inputs(const uint8_t* a, const uint32_t* offset) {
#pragma GCC unroll 4
      for (size_t i = 0; i < 4; ++i) x[i] = static_cast<float>(a[*offset + i]);
    }
  };
  template <size_t n>
  [[gnu::always_inline]] static void add(Sums& sums, const Inputs<n>& x, const int8_t* w, size_t) {
#pragma GCC unroll 4
    for (size_t v = 0; v < 4; ++v) {
      const auto word = load<Vec<uint32_t, 4>>(w + 16 * v);
#pragma GCC unroll 4
      for (size_t i = 0; i < 4; ++i) {
        const auto byte = Vec<int32_t, 4>(word << (24 - 8 * i)) >> 24;
        sums.v[v] += __builtin_convertvector(byte, Vec<float, 4>) * x.x[i];
      }
    }
  }
  static void join(Sums&, const Sums&) {}
  static Ints<4> to_ints(const Sums& sums, const int32_t*) {
    Ints<4> ints;
#pragma GCC unroll 4
    for (size_t v = 0; v < 4; ++v) {
      ints.v[v] = __builtin_convertvector(sums.v[v], Vec<int32_t, 4>);
    }
    return ints;
  }
};

struct Scalar {
  static constexpr size_t kTileCols = 1, kTileBytes = 16;
  static constexpr size_t kLanes = 4, kFloatRows = 4, kRowsOfFourSums = 1;
  using Bytes = FloatBytes;
  static constexpr size_t kByteRows = 4, kByteBlocks = 1;
  using FloatCount = uint16_t;
  static constexpr size_t kCountLanes = 8;

  // What the front-end fuses.
  [[gnu::noinline]] static Vec<float, 4> add_product(Vec<float, 4> c, Vec<float, 4> a,
                                                     Vec<float, 4> b) {
    return fused_by_element<4>(c, a, b);
  }
  static Vec<float, 4> subtract_product(Vec<float, 4> c, Vec<float, 4> a, Vec<float, 4> b) {
    return add_product(c, -a, b);
  }
  static void keep(Vec<float, 4>&) {}

  template <size_t kRows>
  static void count(const uint8_t* a, size_t stride, const uint8_t* panel, size_t depth_bytes,
                    size_t cols, Counts<kRows, uint16_t>& counts) {
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < cols; ++c) {
        counts.p[r][c] = count_differing(a + r * stride, panel + c * depth_bytes, depth_bytes);
      }
    }
  }

  static Vec<int32_t, 4> widen(const uint16_t* p) { return widen_counts<4>(p); }

  static uint64_t at_most(const uint16_t* p, const uint16_t* limit) {
    uint64_t word = 0;
    for (size_t c = 0; c < 64; ++c) word |= static_cast<uint64_t>(p[c] <= limit[c]) << c;
    return word;
  }

  static uint32_t more_than(const Vec<int32_t, 4>* sum, const Vec<int32_t, 4>* bound) {
    uint32_t bits = 0;
    for (size_t c = 0; c < 16; ++c) {
      bits |= static_cast<uint32_t>(sum[c / 4][c % 4] > bound[c / 4][c % 4]) << c;
    }
    return bits;
  }

  static void put_bytes(const Vec<float, 4> (&y)[4], uint8_t* to) {
    for (size_t c = 0; c < 16; ++c) {
      const float value = y[c / 4][c % 4];
      to[c] = value > 0.0f ? static_cast<uint8_t>(value) : uint8_t{0};
    }
  }

  static uint32_t at_least(const Vec<float, 4>* y, const Vec<float, 4>* bound) {
    uint32_t bits = 0;
    for (size_t c = 0; c < 16; ++c) {
      bits |= static_cast<uint32_t>(y[c / 4][c % 4] >= bound[c / 4][c % 4]) << c;
    }
    return bits;
  }
};

}  // namespace

extern const Kernels scalar_kernels;
constinit const Kernels scalar_kernels = kernels_of<Scalar>("scalar");

}  // namespace bifast
