// The .bifast file: what it holds, and a reader that trusts nothing (docs/format.md is the law).
#ifndef BIFAST_FORMAT_H_
#define BIFAST_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bifast.h"

namespace bifast {

inline constexpr uint32_t kNone = 0xFFFFFFFFu;

// An activation: [height][width][channels]; height is time. Bits may come in two planes, one whole
// plane after the other.
struct BufferSpec {
  bool is_bits, is_bytes;
  uint32_t height, width, channels;
  uint32_t planes;  // 1 for floats

  bool is_floats() const { return !is_bits && !is_bytes; }
  size_t positions() const { return size_t{height} * width; }
  // Bytes from one position's channels to the next: bits are padded to 1, 2, 4, 8 or a multiple of
  // 16 bytes, so that a whole pixel moves as one integer and a row of 128 channels is one vector.
  size_t row_bytes() const;
  size_t plane_bytes() const { return positions() * row_bytes(); }
  size_t bytes() const { return planes * plane_bytes(); }
  bool same_shape(const BufferSpec& other) const {
    return height == other.height && width == other.width && channels == other.channels;
  }
};

enum class Dtype : uint32_t { f32 = 0, f16 = 1, i16 = 2, i32 = 3, bits = 4, i8 = 5 };

struct TensorSpec {
  Dtype dtype;
  uint32_t rows, cols;
  const uint8_t* data;  // into the bytes that were read

  size_t row_bytes() const;
};

struct OpSpec {
  std::string name;
  uint32_t code, depth_mask;
  uint32_t input, residual, out_f32, out_bits;
  std::array<uint32_t, 2> kernel, stride, pad, dilation;  // height, width
  uint32_t weights, scale, shift, slope, threshold, flip;
  float plane_scale;  // of the input's second plane; 0: it has none
  uint32_t fill;      // byte that stands for a missing tap
};

// One depth of a cascade: its scores are taken where the best label leads by as much (model.h).
struct LevelSpec {
  bool used;
  float word, other;  // the best label is a word, or none
};

struct ModelFile {
  std::optional<bifast_frontend_params> frontend;
  std::vector<std::string> labels, depths;
  std::vector<BufferSpec> buffers;
  std::vector<TensorSpec> tensors;
  std::vector<OpSpec> ops;
  std::vector<bifast_word> words;  // one for each label, or none; threshold 0: no word
  std::vector<LevelSpec> cascade;  // one for each depth, or none
  std::string card;
  uint32_t checksum;
};

// Checks the file's structure: everything but what the layers themselves mean. The result points
// into `bytes`. Throws Error(BIFAST_BAD_FORMAT or BIFAST_UNSUPPORTED).
ModelFile read_model_file(const uint8_t* bytes, size_t n_bytes);

}  // namespace bifast

#endif  // BIFAST_FORMAT_H_
