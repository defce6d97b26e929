// Portable C++: runs everywhere, and every other instruction set is tested against it.
//
// Binary product: xor and SWAR popcount on 128 bits. The popcount instruction is not part of plain
//   x86-64, and __builtin_popcountll would call the C library for each word. Byte sums are kept
//   apart and added once per output: 12 operations a block, and about 10 an output.
// Limit: the integer or vector ALUs.
#include <cstddef>
#include <cstdint>

#include "kernels/bytes.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/log_mel.h"

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

void binary_matmul(const uint8_t* a, size_t a_stride, const uint8_t* panel, uint16_t* p,
                   size_t p_stride, size_t rows, size_t cols, size_t depth_bytes) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) {
      p[r * p_stride + c] = count_differing(a + r * a_stride, panel + c * depth_bytes, depth_bytes);
    }
  }
}

uint64_t threshold_block(const uint16_t* p, const uint16_t* limit) {
  uint64_t word = 0;
  for (size_t c = 0; c < 64; ++c) word |= static_cast<uint64_t>(p[c] <= limit[c]) << c;
  return word;
}

uint64_t sign_block(const float* x) {
  uint64_t word = 0;
  for (size_t c = 0; c < 64; ++c) word |= static_cast<uint64_t>(x[c] >= 0.0f) << c;
  return word;
}

}  // namespace

extern const Kernels scalar_kernels;
constinit const Kernels scalar_kernels = {
    .name = "scalar",
    .tile_cols = 1,
    .tile_bytes = 16,
    .frame_lanes = 1,
    .binary_matmul = binary_matmul,
    .threshold_row = threshold_row<threshold_block>,
    .sign_row = sign_row<sign_block>,
    .memory_row = memory_row<8>,
    .affine_counts = affine_counts<4>,
    .affine_floats = affine_floats<4>,
    .float_matmul = float_matmul<4, 2>,
    .byte_matmul = byte_matmul<PlainBytes<4>, 2, 2>,
    .log_mel = log_mel<1>,
};

}  // namespace bifast
