// Gathering of the patches that a convolution reads.
#include "ops/geometry.h"

#include <algorithm>
#include <cstring>

namespace bifast {

void Geometry::gather(const uint8_t* input, size_t row_bytes, size_t position,
                      uint8_t* patch) const {
  const size_t oy = position / x.out, ox = position % x.out;
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
                            size_t line_bytes, uint8_t* lines) const {
  const size_t oy = position / x.out;
  const Axis::Taps ys = y.classes[y.class_of[oy]];
  // Inputs begin .. end along x; the padding in front of input 0 is counted too.
  const size_t begin = position % x.out * x.stride, end = begin + (n - 1) * x.stride + x.kernel;
  const size_t first = std::clamp(x.pad, begin, end), last = std::clamp(x.pad + x.in, first, end);
  for (size_t ty = 0; ty < y.kernel; ++ty, lines += line_bytes) {
    if (ty < ys.first || ty >= ys.last || first == last) {
      std::memset(lines, 0, (end - begin) * row_bytes);
      continue;
    }
    const uint8_t* line = input + (y.input_of(oy, ty) * x.in + first - x.pad) * row_bytes;
    std::memset(lines, 0, (first - begin) * row_bytes);
    std::memcpy(lines + (first - begin) * row_bytes, line, (last - first) * row_bytes);
    std::memset(lines + (last - begin) * row_bytes, 0, (end - last) * row_bytes);
  }
}

}  // namespace bifast
