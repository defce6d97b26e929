// The kernel table: what an instruction set must provide.
//
// One file per instruction set (scalar.cpp, avx2.cpp, ...) fills one `Kernels`. All of them give
// the same bits: integer results are exact, and float results follow the one order of operations
// written here.
//
// Bits: 1 means +1 (value >= 0), 0 means -1. Bit i of a row is bit i % 8 of byte i / 8. Padding
// bits are 0 in both operands, so they never count in popcount(a xor w); dot = K - 2 * popcount(a
// xor w). Floats: every operation is rounded to nearest on its own; no fused multiply-add.
#ifndef BIFAST_KERNELS_KERNELS_H_
#define BIFAST_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace bifast {

// Rows of popcounts and limits are padded to a multiple of this many output channels.
inline constexpr size_t kColumnBlock = 64;
// Columns of float weights are padded to a multiple of this.
inline constexpr size_t kFloatBlock = 16;
inline constexpr size_t kMaxFrameLanes = 2;
// Counts of differing bits are u16.
inline constexpr size_t kMaxDepthBits = 65535;

// Per-channel tables of the affine output stage; a null pointer leaves its step out
// (docs/format.md).
struct Affine {
  const float* scale;
  const float* shift;
  const float* slope;
};

// Tables of the FFT in one precision; q = n_fft / 8, twiddles as real and imaginary parts w.
template <typename T>
struct SpectrumTables {
  const T* window;  // [n_fft + 4]
  const T* first;   // [q / 4, rounded up][w1, w2, w3][2][4]: first stage, four points
  const T* stages;  // [stage][span / 4][w1, w2, w3][2]: of the transforms of q points
  const T* split;   // [q / 2 + 1][2][4]: exp(-2 pi i k / n_fft), four frequencies
};

// Constant tables of one front-end setting. A quad is four bins, the first of them a multiple of 4.
struct FrontendTables {
  size_t n_fft;
  size_t n_mels;
  SpectrumTables<float> single;
  SpectrumTables<double> exact;
  const uint32_t* order;       // [q]: where a transform of q points leaves frequency k
  const uint32_t* band_start;  // [n_mels, rounded up to 4]: first quad
  const uint32_t* band_size;   // [the same]: quads
  const float* band_weights;   // the bands' weights end to end, zero outside the bands
  const float* band_limit;     // [the same]: quiet is less than this part of a frame's energy
  float floor;                 // smallest mel power
};

// Memory that log_mel works in.
constexpr size_t log_mel_bytes(size_t n_fft, size_t n_frames) {
  return (n_fft + 32) * (n_frames > 2 ? 4 * n_frames : 8) + 2 * n_frames * (n_fft + 32);
}

struct Kernels {
  const char* name;

  // Weights of a binary product are re-tiled once at load into panels
  //   panel[col / tile_cols][byte / tile_bytes][col % tile_cols][byte % tile_bytes].
  // tile_cols divides kColumnBlock; tile_bytes is 1, 2, 4, 8 or 16.
  size_t tile_cols;
  size_t tile_bytes;
  size_t frame_lanes;  // frames that log_mel takes at once, at most kMaxFrameLanes

  // p[r * p_stride + c] = popcount(a_r ^ w_c) for r < rows, c < cols, where row r of a starts at
  // a + r * a_stride. cols is a multiple of tile_cols, depth_bytes of tile_bytes, and at most
  // kMaxDepthBits bits differ. Rows of a need no alignment and nothing is read past depth_bytes.
  void (*binary_matmul)(const uint8_t* a, size_t a_stride, const uint8_t* panel, uint16_t* p,
                        size_t p_stride, size_t rows, size_t cols, size_t depth_bytes);

  // Bit c of `bits` = (p[c] <= limit[c]) xor bit c of flip, for c < 8 * row_bytes. p, limit and
  // flip are padded to a multiple of kColumnBlock; padded channels carry limits that give 0. Writes
  // row_bytes.
  void (*threshold_row)(const uint16_t* p, const uint16_t* limit, const uint8_t* flip,
                        uint8_t* bits, size_t row_bytes);

  // Bit c of `bits` = x[c] >= 0 for c < n; the rest of row_bytes is 0. 8 * row_bytes >= n.
  void (*sign_row)(const float* x, size_t n, uint8_t* bits, size_t row_bytes);

  // p[c] = number of taps in which x[tap] and w[tap] differ at bit c, for c < 8 * n_bytes (multiple
  // of 8).
  void (*memory_row)(const uint8_t* const* x, const uint8_t* const* w, size_t n_taps, uint16_t* p,
                     size_t n_bytes);

  // y[c] = affine(float(base[c] - 2 * p[c])) + residual[c], any n. residual may be null, and may be
  // y.
  void (*affine_counts)(const uint16_t* p, const int32_t* base, const Affine* affine,
                        const float* residual, float* y, size_t n);

  // The same on floats: y[c] = affine(v[c]) + residual[c]. v may be y.
  void (*affine_floats)(const float* v, const Affine* affine, const float* residual, float* y,
                        size_t n);

  // out[r * cols + c] = sum over k of a[r * a_stride + offset[k]] * w[k * cols + c]: product k is
  // added to partial sum k % 4 in order, the result is (s0 + s1) + (s2 + s3). cols is a multiple of
  // kFloatBlock.
  void (*float_matmul)(const float* a, size_t a_stride, const uint32_t* offset, const float* w,
                       float* out, size_t rows, size_t cols, size_t depth);

  // out[r * cols + c] = float(sum over k < depth and i < 4 of a[r * a_stride + offset[k] + i] *
  // w[4 * (k * cols + c) + i]), rounded once; the sum fits 32 bits. cols is a multiple of
  // kFloatBlock.
  void (*byte_matmul)(const uint8_t* a, size_t a_stride, const uint32_t* offset, const int8_t* w,
                      float* out, size_t rows, size_t cols, size_t depth);

  // frames[i]: n_fft samples of frame i < frame_lanes, with room to read up to 32.
  // work: log_mel_bytes(n_fft, frame_lanes), aligned to 64 bytes. out[i][m] = 10 * log10(max(mel
  // power, floor)), m < n_mels.
  void (*log_mel)(const FrontendTables* tables, const float* const* frames, void* work,
                  float* const* out);
};

}  // namespace bifast

#endif  // BIFAST_KERNELS_KERNELS_H_
