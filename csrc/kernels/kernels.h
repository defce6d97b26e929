// The kernel table: what an instruction set must provide.
//
// One file per instruction set (scalar.cpp, avx2.cpp, ...) fills one `Kernels`. All of them give
// the same bits: integer results are exact, and float results follow the one order of operations
// written here.
//
// Bits: 1 means +1 (value >= 0), 0 means -1. Bit i of a row is bit i % 8 of byte i / 8. Padding
// bits are 0 in both operands, so they never count in popcount(a xor w); dot = K - 2 * popcount(a
// xor w). Floats: every operation is rounded to nearest on its own; the front-end's products and
// sums are fused where the definition says so, and only there.
#ifndef BIFAST_KERNELS_KERNELS_H_
#define BIFAST_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace bifast {

// Tables of channels and rows of counts are padded to a multiple of this.
inline constexpr size_t kColumnBlock = 64;
// Columns of float weights are padded to a multiple of this.
inline constexpr size_t kFloatBlock = 16;
// Counts of differing bits are u16.
inline constexpr size_t kMaxDepthBits = 65535;

// ---- the end of a layer: what becomes of sums (docs/format.md, "Output stage") ------------------

// Counts p become bits: bit c = (p[c] <= limit[c]) xor bit c of flip. Padded channels carry a limit
// that gives 0.
struct ThresholdStage {
  const uint16_t* limit;  // [class][padded channels]
  const uint8_t* flip;    // [class][padded channels / 8]
  // limit once more, as a product's tile_limits leaves it: [class][padded channels *
  // kTileLimitBytes].
  const uint8_t* tile_limits;
};
inline constexpr size_t kTileLimitBytes = 8;

// Sums become bits: bit c = (sum[c] > bound[c]) xor bit c of flip. Padded channels carry a bound
// that gives 0.
struct SumStage {
  const int32_t* bound;  // [padded channels]
  const uint8_t* flip;   // [padded channels / 8]
};

// Sums v become floats and their signs: y = v * scale + shift; y = y >= 0 ? y : y * slope;
// y = y + residual; b1 = y >= bound, and in a second plane b2 = y - (b1 ? 1 : -1) >= second bound.
// Counts are v = base - 2 * p before, of two planes v = float(base - 2 * p1) + plane_scale *
// float(base - 2 * p2).
struct FloatStage {
  const int32_t* base;  // [class][padded channels]; counts only
  float plane_scale;
  const float* steps;  // [padded channels / kFloatBlock][kSteps][kFloatBlock]
};

// Tables of a FloatStage, side by side for each block of channels. A step that a layer leaves out
// holds what changes no bit: scale 1, shift -0, slope 1.
enum Step : size_t { kScale, kShift, kSlope, kBound, kSecondBound, kSteps };

// Where the results of consecutive positions go; a null pointer leaves its output out. A row of
// bits is padded with zeros to bits_stride bytes.
struct Results {
  size_t rows, channels;
  const uint32_t* classes;  // [rows]: which tables of the stage; null: the first
  const float* residual;  // [rows][residual_stride], may be y; where there is none, -0 and stride 0
  size_t residual_stride;
  float* y;       // [rows][channels]
  uint8_t* bits;  // [rows][bits_stride], 8 * bits_stride >= channels
  size_t bits_stride;
  size_t plane_bytes;  // from the first plane of bits to the second; 0: there is one
};

// ---- what makes sums ----------------------------------------------------------------------------

// p = popcount(a_r ^ w_c): row r of the activations starts at a + r * stride, in the second plane
// plane_bytes further on (0: there is one). depth_bytes is a multiple of tile_bytes, and at most
// kMaxDepthBits bits differ. Rows need no alignment and nothing is read past depth_bytes. Panels
// have kPanelSlack bytes to read behind them.
inline constexpr size_t kPanelSlack = 64;
struct BinaryProduct {
  const uint8_t* a;
  size_t stride, plane_bytes;
  const uint8_t* panel;  // channels padded to whole tiles, for thresholds to whole groups of tiles
  size_t depth_bytes;
};

// The counts of a convolution whose patches lie in an image: row r = y * cols + x of the results is
// position (y * stride[0], x * stride[1]) of `a` under tap (0, 0), and tap (i, j) lies i *
// dilation[0] lines and j * dilation[1] positions further on. At most kMaxDepthBits bits differ.
struct BinaryImage {
  const uint8_t* a;  // [spanned lines][width][position_bytes]; its padding is around it, as zeros
  size_t position_bytes;  // a multiple of kImageStep
  size_t width;           // at least as many positions as the columns span
  size_t rows, cols;      // of positions that are computed
  size_t kernel[2], stride[2], dilation[2];
  const uint8_t* panel;  // as in BinaryProduct
  const int32_t* ones;   // [channels padded to kColumnBlock]: bits of a channel's weights
  uint8_t* work;         // image_bytes() of the table, aligned to 64 bytes
};
inline constexpr size_t kImageStep = 8, kImageChannels = 32;

// v = sum over k of a[r * stride + offset[k]] * w[k * cols + c]: product k is added to partial sum
// k % 4 in order, the result is (s0 + s1) + (s2 + s3). cols is a multiple of kFloatBlock.
struct FloatProduct {
  const float* a;
  size_t stride;
  const uint32_t* offset;  // [depth]
  const float* w;
  size_t cols, depth;
};

// sum[c] = sum over k < depth and i < 4 of a[r * stride + offset[k] + i] * w[4 * (k * cols + c) +
// i], which fits 32 bits. cols is a multiple of kFloatBlock.
struct ByteProduct {
  const uint8_t* a;
  size_t stride;
  const uint32_t* offset;  // [depth]
  const int8_t* w;
  const int32_t* totals;  // [cols]: sum over a column's weights
  size_t cols, depth;
  bool lowest;  // one of the weights is -128
};

// One row of a memory: the taps that exist there, tap t of the activations at x + t * x_step, of
// the weights at w + t * n_bytes.
struct MemoryRow {
  const uint8_t* x;
  const uint8_t* w;
  size_t n_taps;
};

// Rows of counts, in two planes if second is not null; rows of floats.
struct CountRows {
  const uint16_t* p;
  const uint16_t* second;
  size_t stride;  // >= padded channels
};

struct FloatRows {
  const float* v;  // may be the results' y
  size_t stride;
};

// ---- the front-end ------------------------------------------------------------------------------

// Shorter frames are padded with zeros, which the window holds.
constexpr size_t fft_points(size_t n_fft) { return n_fft < 512 ? 512 : n_fft; }

// The spectrum lies in rows of kBins frequencies: lane i of row r is frequency frequency_of(i) +
// kBins * r of a complex transform of kBins * rows = fft_points / 2 points.
inline constexpr size_t kBins = 16;
constexpr size_t frequency_of(size_t lane) { return lane / 4 + lane % 4 * 4; }

// Tables of the FFT in one precision: w(x) = exp(-2 pi i x), as real and imaginary parts.
template <typename T>
struct SpectrumTables {
  const T* window;  // [fft_points]
  const T* second;  // [w, w^2][2][kBins]: second stage, w(i / 16) of block i in the lanes of quad i
  // [stage][block][w, w^2][2][kBins]: the stages over rows; the last one of radix 2 has no w^2.
  const T* stages;
  // [rows / 2 + 1][3][kBins]: w(k / fft_points), real and imaginary; the sign that frequency n - k
  // has where k is positive.
  const T* split;
};

// Constant tables of one front-end setting.
struct FrontendTables {
  size_t rows;
  size_t n_mels;
  SpectrumTables<float> single;
  SpectrumTables<double> exact;
  const uint32_t* order;  // [rows]: where a transform of as many points leaves frequency r
  // Bands are padded to a multiple of kBins. Rows of power, rows + 2: up to rows / 2 as above, then
  // row rows - r holds fft_points / 2 - k in the place of k; a row of zeros.
  const uint32_t* band_start;  // first row of power
  const uint32_t* band_size;   // rows, an even number
  const float* band_weights;   // [kBins] of each row, the bands end to end; zero outside the bands
  const float* band_limit;     // quiet is less than this part of a frame's energy
  float floor;                 // smallest mel power
};

// Memory that log_mel works in: rows of double complex numbers, and of float powers.
constexpr size_t log_mel_bytes(size_t n_fft) {
  return fft_points(n_fft) / 2 * 20 + 2 * kBins * sizeof(float);
}

inline constexpr size_t kByteRunRows = 32;

// ---- the table ----------------------------------------------------------------------------------

// What a table leaves out (0, null) is that of the next one in the list of instruction sets.
struct Kernels {
  const char* name = nullptr;

  // Weights of a binary product are re-tiled once at load into panels
  //   panel[col / tile_cols][byte / tile_bytes][col % tile_cols][byte % tile_bytes].
  // tile_cols divides kColumnBlock; tile_bytes is 1, 2, 4, 8 or 16. For a product that ends in
  // thresholds the channels are put in another order first: of each group of group_tiles tiles,
  // tile i takes channels i, i + group_tiles, i + 2 * group_tiles, ...
  size_t tile_cols = 0;
  size_t tile_bytes = 0;
  size_t group_tiles = 1;

  // Makes the tile_limits of one class for products of this depth; null where nothing reads them.
  void (*tile_limits)(const uint16_t* limit, size_t padded_channels, size_t depth_bytes,
                      uint8_t* tile_limits) = nullptr;
  void (*binary_thresholds)(const BinaryProduct*, const ThresholdStage*, const Results*) = nullptr;
  void (*binary_floats)(const BinaryProduct*, const FloatStage*, const Results*) = nullptr;
  // The same for many positions at once; null where binary_thresholds and binary_floats are best.
  // One plane in, one out.
  void (*image_thresholds)(const BinaryImage*, const ThresholdStage*, const Results*) = nullptr;
  void (*image_floats)(const BinaryImage*, const FloatStage*, const Results*) = nullptr;
  size_t (*image_bytes)(const BinaryImage*) = nullptr;  // of the memory that they work in

  void (*float_product)(const FloatProduct*, const FloatStage*, const Results*) = nullptr;

  // p[c] = number of taps in which x and w differ at bit c, for c < 8 * n_bytes (multiple of 8).
  // Tap t of x starts at x + t * x_step, of w at w + t * n_bytes.
  void (*memory_row)(const uint8_t* x, size_t x_step, const uint8_t* w, size_t n_taps, uint16_t* p,
                     size_t n_bytes) = nullptr;

  // The same for all rows of a layer, with its end: v = n_taps - 2 * p, which the stage's base says
  // too.
  void (*memory_floats)(const MemoryRow* rows, size_t x_step, size_t n_bytes, const FloatStage*,
                        const Results*) = nullptr;

  // Only the end of a layer.
  void (*count_thresholds)(const CountRows*, const ThresholdStage*, const Results*) = nullptr;
  void (*count_floats)(const CountRows*, const FloatStage*, const Results*) = nullptr;
  void (*float_rows)(const FloatRows*, const FloatStage*, const Results*) = nullptr;

  // Sums are rounded once to floats. One class of positions; byte_signs makes one plane of bits.
  void (*byte_floats)(const ByteProduct*, const FloatStage*, const Results*) = nullptr;
  void (*byte_signs)(const ByteProduct*, const SumStage*, const Results*) = nullptr;
  // out[r * cols + c] = the sum as a float, for a depth of n_runs runs of run_length groups of four
  // bytes that follow each other, offset[] being those of their starts; null where byte_floats is
  // best. rows >= kByteRunRows, cols a multiple of it, run_length <= 16.
  void (*byte_runs)(const uint8_t* a, size_t a_stride, const uint32_t* offset, size_t n_runs,
                    size_t run_length, const int8_t* w, float* out, size_t rows,
                    size_t cols) = nullptr;

  // out[c] = the largest of x[t][c], t < n: the first of equal ones, a NaN only if it is the first.
  void (*largest)(const float* const* x, size_t n, size_t cols, float* out) = nullptr;

  // out[i] = y = x[i] * scale + shift (two roundings), at least 0 and at most 255, without what
  // follows the point; 0 where y is no number. Nothing is read or written past n.
  void (*quantise)(const float* x, size_t n, float scale, float shift, uint8_t* out) = nullptr;

  // frame: fft_points samples; those behind n_fft meet zeros of the window. work: log_mel_bytes,
  // aligned to 64 bytes. out[m] = 10 * log10(max(mel power, floor)), m < n_mels.
  void (*log_mel)(const FrontendTables* tables, const float* frame, void* work,
                  float* out) = nullptr;
};

// The row of a panel that channel n of a product with thresholds comes to.
constexpr size_t grouped_row(size_t n, size_t tile_cols, size_t group_tiles) {
  const size_t group = tile_cols * group_tiles, in_group = n % group;
  return n - in_group + in_group % group_tiles * tile_cols + in_group / group_tiles;
}

}  // namespace bifast

#endif  // BIFAST_KERNELS_KERNELS_H_
