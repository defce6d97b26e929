// AMX with 8-bit integers: Sapphire Rapids and later. What is not here is AVX-512's.
//
// Binary product of many positions: bits become bytes, those of activations 0 and 1, of weights 2
//   and -2, and tdpbssd adds 16 x 16 x 64 of their products in 16 cycles, 1024 a cycle, where xor
//   and vpopcntd make 341. Activations become bytes once, in an image whose positions of one row of
//   the results follow each other, so that a tile is loaded from it wherever a tap lies; weights
//   become bytes 32 channels at a time, while the first tiles that need them are multiplied. A sum
//   is 2 (ones - p), ones being the bits of the channel's weights. The core's clock falls with the
//   bits that are set in the operands: 0 and 1 cost less than 1 and -1.
// A block is 2 x 2 tiles: four tiles are loaded (one row a cycle, about) while four are multiplied.
//   Meanwhile the vector units end the layer for the block before.
// Limit: the tile unit. Sums are i32 and at most kMaxDepthBits in size.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/table.h"

namespace bifast {
namespace {

constexpr size_t kTileRows = 16;   // of a tile; a row of sums has as many channels
constexpr size_t kStepBytes = 64;  // depth of a tile
constexpr size_t kTileBytes = kTileRows * kStepBytes;
constexpr size_t kBlock = 2 * kTileRows;  // positions and channels of a block
// Depth is taken in parts whose weights stay in the first cache. Longer ones would not do: storing
// a tile more than about 30 steps after the one before costs 700 cycles.
constexpr size_t kMaxSteps = 12;
constexpr size_t kStepWeights = 2 * kTileBytes;

// Tiles 0 .. 3: sums; 4, 5: activations; 6, 7: weights.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// The compiler's own functions do not say that they read and write memory.
template <int kTile>
[[gnu::always_inline]] inline void load_tile(const void* from, size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
[[gnu::always_inline]] inline void store_tile(void* to, size_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
}
// Unsigned activations, signed weights.
template <int kSums, int kA, int kB>
[[gnu::always_inline]] inline void multiply_tiles() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kA), "i"(kB));
}
[[gnu::always_inline]] inline void clear_tiles() {
  asm volatile("tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3" ::);
}

// Sums of 2 x 2 tiles.
[[gnu::always_inline]] inline void load_sums(const int32_t* sums, size_t row_bytes) {
  load_tile<0>(sums, row_bytes);
  load_tile<1>(sums + kTileRows, row_bytes);
  load_tile<2>(sums + kTileRows * row_bytes / sizeof(int32_t), row_bytes);
  load_tile<3>(sums + kTileRows * row_bytes / sizeof(int32_t) + kTileRows, row_bytes);
}
[[gnu::always_inline]] inline void store_sums(void* sums, size_t row_bytes) {
  auto* below = static_cast<uint8_t*>(sums) + kTileRows * row_bytes;
  store_tile<0>(sums, row_bytes);
  store_tile<1>(static_cast<uint8_t*>(sums) + kTileRows * sizeof(int32_t), row_bytes);
  store_tile<2>(below, row_bytes);
  store_tile<3>(below + kTileRows * sizeof(int32_t), row_bytes);
}

// One step of depth: 32 positions at `a`, two tiles of 16 channels of weights.
[[gnu::always_inline]] inline void add_step(const uint8_t* a, size_t stride, const void* low,
                                            const void* high, size_t weights_stride) {
  load_tile<4>(a, stride);
  load_tile<6>(low, weights_stride);
  multiply_tiles<0, 4, 6>();
  load_tile<7>(high, weights_stride);
  multiply_tiles<1, 4, 7>();
  load_tile<5>(a + kTileRows * stride, stride);
  multiply_tiles<2, 5, 6>();
  multiply_tiles<3, 5, 7>();
}

inline void begin_tiles(const TileConfig& config) { asm volatile("ldtilecfg %0" ::"m"(config)); }
inline void end_tiles() { asm volatile("tilerelease" ::); }

// The image as bytes. Strides are taken apart: plane (y % stride, x % stride) has the positions
// that one tap reads, line by line, so those of consecutive results follow each other.
struct Layout {
  size_t span[2];         // of the input
  size_t lines, columns;  // of a plane
  size_t position;        // bytes
  size_t steps;           // of depth
  size_t positions;       // results, and between lines what is nobody's

  explicit Layout(const BinaryImage& image) {
    for (size_t i = 0; i < 2; ++i) {
      const size_t out = i == 0 ? image.rows : image.cols;
      span[i] = (out - 1) * image.stride[i] + (image.kernel[i] - 1) * image.dilation[i] + 1;
    }
    lines = (span[0] + image.stride[0] - 1) / image.stride[0];
    columns = (span[1] + image.stride[1] - 1) / image.stride[1];
    position = 8 * image.position_bytes;
    steps = image.kernel[0] * image.kernel[1] * image.position_bytes / kImageStep;
    positions = (image.rows - 1) * columns + image.cols;
  }

  // Where (y, x) of the input lies.
  size_t offset(const BinaryImage& image, size_t y, size_t x) const {
    const size_t plane = y % image.stride[0] * image.stride[1] + x % image.stride[1];
    return ((plane * lines + y / image.stride[0]) * columns + x / image.stride[1]) * position;
  }
  size_t image_bytes(const BinaryImage& image) const {
    // The last block reads as if it were whole.
    const size_t all = image.stride[0] * image.stride[1] * lines * columns + kBlock;
    return all * position;
  }
};

// Sums of depth in one part end at once; others wait for the last part.
size_t sums_size(const Layout& layout) {
  return layout.steps <= kMaxSteps ? kBlock * kBlock : (layout.positions + kBlock) * kBlock;
}

size_t image_bytes(const BinaryImage* image) {
  const Layout layout(*image);
  return layout.image_bytes(*image) + kMaxSteps * kStepWeights +
         sums_size(layout) * sizeof(int32_t) + layout.steps * sizeof(uint32_t);
}

[[gnu::always_inline]] inline __m512i choose(__mmask64 bits, int8_t one, int8_t zero) {
  return _mm512_mask_blend_epi8(bits, _mm512_set1_epi8(zero), _mm512_set1_epi8(one));
}

void spread_image(const BinaryImage& image, const Layout& layout, uint8_t* to) {
  const size_t vectors = image.position_bytes / kImageStep;
  for (size_t y = 0; y < layout.span[0]; ++y) {
    const uint8_t* from = image.a + y * image.width * image.position_bytes;
    for (size_t phase = 0; phase < image.stride[1]; ++phase) {
      uint8_t* line = to + layout.offset(image, y, phase);
      for (size_t x = phase; x < layout.span[1]; x += image.stride[1]) {
        const uint8_t* bits = from + x * image.position_bytes;
        for (size_t v = 0; v < vectors; ++v, line += kStepBytes) {
          _mm512_storeu_si512(line, choose(load<uint64_t>(bits + v * kImageStep), 1, 0));
        }
      }
    }
  }
}

// 64 bits of depth of 16 channels as a tile: row k has bytes 4 k .. 4 k + 3 of the depth of each
// channel. The panel has 32 bits of each channel in turn.
[[gnu::always_inline]] inline void spread_weights(const uint8_t* panel, uint8_t* tile) {
  const __m512i low = _mm512_set1_epi32(0x08040201),
                high = _mm512_set1_epi32(static_cast<int>(0x80402010u));
#pragma GCC unroll 2
  for (size_t half = 0; half < 2; ++half) {
    const __m512i word = _mm512_loadu_si512(panel + half * 64);
#pragma GCC unroll 4
    for (size_t byte = 0; byte < 4; ++byte) {
      const __m512i each =
          _mm512_add_epi32(_mm512_set4_epi32(0x0C0C0C0C, 0x08080808, 0x04040404, 0),
                           _mm512_set1_epi32(static_cast<int>(byte * 0x01010101)));
      const __m512i bits = _mm512_shuffle_epi8(word, each);
      uint8_t* rows = tile + (half * 8 + byte * 2) * kStepBytes;
      _mm512_store_si512(rows, choose(_mm512_test_epi8_mask(bits, low), 2, -2));
      _mm512_store_si512(rows + kStepBytes, choose(_mm512_test_epi8_mask(bits, high), 2, -2));
    }
  }
}

// ---- the product --------------------------------------------------------------------------------

// sums[32 positions][32 channels] of some steps of depth, added to those before.
void multiply_block(const uint8_t* a, size_t stride, const uint32_t* taps, size_t steps,
                    const uint8_t* weights, int32_t* sums, bool add) {
  constexpr size_t kRowBytes = kBlock * sizeof(int32_t);
  if (add) {
    load_sums(sums, kRowBytes);
  } else {
    clear_tiles();
  }
  for (size_t step = 0; step < steps; ++step) {
    const uint8_t* tiles = weights + step * kStepWeights;
    add_step(a + taps[step], stride, tiles, tiles + kTileBytes, kStepBytes);
  }
  store_sums(sums, kRowBytes);
}

// ---- the end of the layer -----------------------------------------------------------------------

using Sums = Vec<int32_t, 16>;
using Values = Vec<float, 16>;

inline __mmask16 not_below(const Values& x, const Values& bound) {
  return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(x), reinterpret_cast<__m512>(bound),
                            _CMP_GE_OQ);
}

// Ends of 16 channels from c on; bits(v, row) ends one row of sums v = 2 (ones - p) and makes its
// bits.
struct FloatEnd {
  const int32_t* base;
  const float* residual;
  float* y;
  size_t residual_stride, stride;
  Sums ones;
  Values scale, shift, slope, bound;

  FloatEnd(const BinaryImage& image, const FloatStage& stage, const Results& to, size_t c)
      : base(stage.base + c),
        residual(to.residual + c),
        y(to.y == nullptr ? nullptr : to.y + c),
        residual_stride(to.residual_stride),
        stride(to.channels),
        ones(load<Sums>(image.ones + c) * 2) {
    const float* steps = stage.steps + c * kSteps;
    scale = load<Values>(steps + kScale * kFloatBlock);
    shift = load<Values>(steps + kShift * kFloatBlock);
    slope = load<Values>(steps + kSlope * kFloatBlock);
    bound = load<Values>(steps + kBound * kFloatBlock);
  }
  [[gnu::always_inline]] uint32_t bits(const int32_t* v, size_t row, size_t table) const {
    const Sums dot = load<Sums>(v) + load<Sums>(base + table) - ones;
    const Values z = __builtin_convertvector(dot, Values) * scale + shift;
    const auto all = reinterpret_cast<__m512>(z);
    const auto activated = Values(_mm512_mask_mul_ps(all, _knot_mask16(not_below(z, Values{})), all,
                                                     reinterpret_cast<__m512>(slope)));
    const Values made = activated + load<Values>(residual + row * residual_stride);
    if (y != nullptr) store(y + row * stride, made);
    return not_below(made, bound);
  }
};

struct ThresholdEnd {
  const uint16_t* limit;
  const uint8_t* flip;
  Sums ones;

  ThresholdEnd(const BinaryImage& image, const ThresholdStage& stage, const Results&, size_t c)
      : limit(stage.limit + c), flip(stage.flip + c / 8), ones(load<Sums>(image.ones + c)) {}
  // p <= limit where 2 (ones - p) >= 2 (ones - limit).
  [[gnu::always_inline]] uint32_t bits(const int32_t* v, size_t, size_t table) const {
    const Sums most = __builtin_convertvector((load<Vec<uint16_t, 16>>(limit + table)), Sums);
    const Sums least = (ones - most) * 2;
    const uint32_t within = _mm512_cmpge_epi32_mask(reinterpret_cast<__m512i>(load<Sums>(v)),
                                                    reinterpret_cast<__m512i>(least));
    return within ^ load<uint16_t>(flip + table / 8);
  }
};

template <typename Stage>
struct EndOf {
  using Type = FloatEnd;
};
template <>
struct EndOf<ThresholdStage> {
  using Type = ThresholdEnd;
};

// 32 channels from c on of `n` positions from `position` on.
template <typename Stage>
void finish(const BinaryImage& image, const Layout& layout, const Stage& stage, const Results& to,
            size_t c, const int32_t* sums, size_t position, size_t n) {
  using End = typename EndOf<Stage>::Type;
  const End low(image, stage, to, c), high(image, stage, to, c + kTileRows);
  const size_t tables = padded(to.channels), cols = image.cols;
  const uint32_t* classes = to.classes;
  while (n != 0) {
    const size_t x = position % layout.columns,
                 line = layout.columns - x < n ? layout.columns - x : n;
    const size_t first = position / layout.columns * cols + x, used = x < cols ? cols - x : 0;
    for (size_t i = 0; i < (used < line ? used : line); ++i) {
      const size_t row = first + i, table = classes == nullptr ? 0 : classes[row] * tables;
      const uint32_t low_bits = low.bits(sums + i * kBlock, row, table);
      const uint32_t high_bits = high.bits(sums + i * kBlock + kTileRows, row, table);
      if (to.bits == nullptr) continue;
      store_bits(to, to.bits + row * to.bits_stride, c, low_bits | high_bits << 16);
    }
    position += line, n -= line, sums += line * kBlock;
  }
}

template <typename Stage>
void multiply_image(const BinaryImage* image, const Stage* stage, const Results* to) {
  const Layout layout(*image);
  uint8_t* weights = image->work + layout.image_bytes(*image);
  auto* sums = reinterpret_cast<int32_t*>(weights + kMaxSteps * kStepWeights);
  auto* taps = reinterpret_cast<uint32_t*>(sums + sums_size(layout));
  spread_image(*image, layout, image->work);
  size_t step = 0;
  for (size_t at = 0; at < layout.position; at += kStepBytes) {
    for (size_t y = 0; y < image->kernel[0]; ++y) {
      for (size_t x = 0; x < image->kernel[1]; ++x) {
        const size_t tap = layout.offset(*image, y * image->dilation[0], x * image->dilation[1]);
        taps[step++] = static_cast<uint32_t>(tap + at);
      }
    }
  }
  begin_tiles({});
  const size_t per_tap = layout.position / kStepBytes, n_taps = layout.steps / per_tap;
  const size_t parts = (layout.steps + kMaxSteps - 1) / kMaxSteps;
  const size_t chunk = (layout.steps + parts - 1) / parts;
  for (size_t c = 0; c < to->channels; c += kBlock) {
    const uint8_t* panel = image->panel + c * layout.steps * kImageStep;
    for (size_t first = 0; first < layout.steps; first += chunk) {
      const size_t some = layout.steps - first < chunk ? layout.steps - first : chunk;
      for (step = 0; step < some; ++step) {
        const size_t i = first + step, from = i % n_taps * per_tap + i / n_taps;
        uint8_t* tile = weights + step * kStepWeights;
        spread_weights(panel + from * 2 * kStepBytes, tile);
        spread_weights(panel + (layout.steps + from) * 2 * kStepBytes, tile + kTileBytes);
      }
      for (size_t at = 0; at < layout.positions; at += kBlock) {
        int32_t* block = parts == 1 ? sums : sums + at * kBlock;
        multiply_block(image->work + at * layout.position, layout.position, taps + first, some,
                       weights, block, first != 0);
        if (first + some < layout.steps) continue;
        const size_t left = layout.positions - at;
        finish(*image, layout, *stage, *to, c, block, at, left < kBlock ? left : kBlock);
      }
    }
  }
  end_tiles();
}

// ---- bytes --------------------------------------------------------------------------------------

void byte_runs(const uint8_t* a, size_t a_stride, const uint32_t* offset, size_t n_runs,
               size_t run_length, const int8_t* w, float* out, size_t rows, size_t cols) {
  TileConfig config;
  config.row_bytes[4] = config.row_bytes[5] = static_cast<uint16_t>(4 * run_length);
  config.rows[6] = config.rows[7] = static_cast<uint8_t>(run_length);
  begin_tiles(config);
  const size_t stride = cols * sizeof(int32_t);
  for (size_t c = 0; c < cols; c += kBlock) {
    for (size_t next = 0; next < rows; next += kBlock) {
      const size_t row = next + kBlock <= rows ? next : rows - kBlock;
      clear_tiles();
      for (size_t run = 0; run < n_runs; ++run) {
        const uint8_t* from = a + row * a_stride + offset[run];
        const int8_t* weights = w + 4 * (run * run_length * cols + c);
        add_step(from, a_stride, weights, weights + kStepBytes, stride);
      }
      store_sums(out + row * cols + c, stride);
    }
  }
  end_tiles();
  for (size_t i = 0; i < rows * cols; i += kFloatBlock) {
    store(out + i, __builtin_convertvector(load<Sums>(out + i), Values));
  }
}

}  // namespace

extern const Kernels amx_kernels;
constinit const Kernels amx_kernels = {
    .name = "amx",
    .image_thresholds = multiply_image<ThresholdStage>,
    .image_floats = multiply_image<FloatStage>,
    .image_bytes = image_bytes,
    .byte_runs = byte_runs,
};

}  // namespace bifast
