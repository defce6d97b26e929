// Gathering of the patches that a convolution reads, and the input with its padding around it.
#include "ops/geometry.h"

#include <algorithm>
#include <cstring>

namespace bifast {
namespace {

constexpr size_t kMaxPaddedBytes = size_t{4} << 20;

// Whole vectors: n bytes and up to kGatherSlack - 1 more.
inline void copy_line(const uint8_t* from, size_t n, uint8_t* to) {
  for (size_t i = 0; i < n; i += kGatherSlack) std::memcpy(to + i, from + i, kGatherSlack);
}

// n bytes and no more; a call of memcpy would take longer than the copy of a short line.
inline void copy_exactly(const uint8_t* from, size_t n, uint8_t* to) {
  constexpr size_t kStep = 16;
  if (n < kStep) {
    std::memcpy(to, from, n);
    return;
  }
  for (size_t i = 0; i + kStep < n; i += kStep) std::memcpy(to + i, from + i, kStep);
  std::memcpy(to + n - kStep, from + n - kStep, kStep);
}

}  // namespace

size_t Geometry::padded_bytes(size_t row_bytes) const {
  const size_t height = y.span(), width = x.span();
  const bool fits = height <= kMaxPaddedBytes && width <= kMaxPaddedBytes / height &&
                    row_bytes <= kMaxPaddedBytes / (height * width);
  return fits ? height * width * row_bytes : kNoPadding;
}

void Geometry::pad(const uint8_t* input, size_t row_bytes, size_t first_row, size_t last_row,
                   uint8_t* to, uint8_t fill) const {
  if (first_row == last_row) return;
  const size_t width = x.span(), used = x.pad >= width ? 0 : std::min(x.in, width - x.pad);
  const size_t first = first_row * y.stride;
  const size_t last = (last_row - 1) * y.stride + (y.kernel - 1) * y.dilation + 1;
  std::memset(to + first * width * row_bytes, fill, (last - first) * width * row_bytes);
  if (used == 0) return;
  for (size_t line = std::max(first, y.pad); line < std::min(last, y.pad + y.in); ++line) {
    copy_exactly(input + (line - y.pad) * x.in * row_bytes, used * row_bytes,
                 to + (line * width + x.pad) * row_bytes);
  }
}

void Geometry::gather(const uint8_t* input, size_t row_bytes, size_t first, size_t n,
                      size_t patch_bytes, uint8_t* patches) const {
  constexpr uint8_t kZeros[kGatherSlack] = {};
  const size_t line_bytes = x.kernel * row_bytes, used = y.kernel * line_bytes;
  const size_t step = y.dilation * x.in * row_bytes;  // from one tap's line to the next
  const bool whole_lines = x.dilation == 1 && x.complete() && y.complete();
  size_t oy = first / x.out, ox = first % x.out;
  for (size_t i = 0; i < n; ++i, patches += patch_bytes) {
    if (whole_lines) {
      const size_t corner = (oy * y.stride - y.pad) * x.in + ox * x.stride - x.pad;
      const uint8_t* from = input + corner * row_bytes;
      uint8_t* to = patches;
      for (size_t ty = 0; ty < y.kernel; ++ty, from += step, to += line_bytes) {
        copy_line(from, line_bytes, to);
      }
    } else {
      gather_partly(input, row_bytes, oy, ox, patches);
    }
    if (used < patch_bytes) std::memcpy(patches + used, kZeros, kGatherSlack);
    if (++ox == x.out) ox = 0, ++oy;
  }
}

void Geometry::gather_partly(const uint8_t* input, size_t row_bytes, size_t oy, size_t ox,
                             uint8_t* patch) const {
  const Axis::Taps ys = y.classes[y.class_of[oy]], xs = x.classes[x.class_of[ox]];
  const size_t line_bytes = x.kernel * row_bytes;
  if (ys.last - ys.first != y.kernel || xs.last - xs.first != x.kernel) {
    std::memset(patch, 0, y.kernel * line_bytes);
  }
  if (xs.first == xs.last) return;
  for (size_t ty = ys.first; ty < ys.last; ++ty) {
    const uint8_t* line = input + y.input_of(oy, ty) * x.in * row_bytes;
    uint8_t* to = patch + ty * line_bytes;
    if (x.dilation == 1) {
      std::memcpy(to + xs.first * row_bytes, line + x.input_of(ox, xs.first) * row_bytes,
                  (xs.last - xs.first) * row_bytes);
      continue;
    }
    for (size_t tx = xs.first; tx < xs.last; ++tx) {
      std::memcpy(to + tx * row_bytes, line + x.input_of(ox, tx) * row_bytes, row_bytes);
    }
  }
}

void Geometry::gather_lines(const uint8_t* input, size_t row_bytes, size_t position, size_t n,
                            size_t line_bytes, uint8_t fill, uint8_t* lines) const {
  const size_t oy = position / x.out;
  const Axis::Taps ys = y.classes[y.class_of[oy]];
  // Inputs begin .. end along x; the padding in front of input 0 is counted too.
  const size_t begin = position % x.out * x.stride, end = begin + (n - 1) * x.stride + x.kernel;
  const size_t first = std::clamp(x.pad, begin, end), last = std::clamp(x.pad + x.in, first, end);
  for (size_t ty = 0; ty < y.kernel; ++ty, lines += line_bytes) {
    if (ty < ys.first || ty >= ys.last || first == last) {
      std::memset(lines, fill, (end - begin) * row_bytes);
      continue;
    }
    const uint8_t* line = input + (y.input_of(oy, ty) * x.in + first - x.pad) * row_bytes;
    std::memset(lines, fill, (first - begin) * row_bytes);
    std::memcpy(lines + (first - begin) * row_bytes, line, (last - first) * row_bytes);
    std::memset(lines + (last - begin) * row_bytes, fill, (end - last) * row_bytes);
  }
}

}  // namespace bifast
