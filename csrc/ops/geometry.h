// Geometry of a convolution: which input positions an output position reads.
#ifndef BIFAST_OPS_GEOMETRY_H_
#define BIFAST_OPS_GEOMETRY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/op.h"

namespace bifast {

// Along one axis: output i reads inputs start(i) + tap * dilation for the taps that exist, first <=
// tap < last.
struct Axis {
  struct Taps {
    size_t first, last;
    bool operator==(const Taps&) const = default;
  };

  size_t in, out, kernel, stride, pad, dilation;
  std::vector<Taps> classes;     // distinct sets of existing taps
  std::vector<size_t> class_of;  // [out]

  Axis(size_t in_size, size_t out_size, size_t kernel_size, size_t stride_size, size_t pad_size,
       size_t dilation_size)
      : in(in_size),
        out(out_size),
        kernel(kernel_size),
        stride(stride_size),
        pad(pad_size),
        dilation(dilation_size) {
    for (size_t i = 0; i < out; ++i) {
      // Tap t exists where 0 <= i * stride + t * dilation - pad < in.
      const size_t base = i * stride;
      size_t first = base >= pad ? 0 : (pad - base + dilation - 1) / dilation;
      size_t last = base >= pad + in ? 0 : (pad + in - base + dilation - 1) / dilation;
      if (first > kernel) first = kernel;
      if (last > kernel) last = kernel;
      if (last < first) last = first;
      const Taps taps = first == last ? Taps{0, 0} : Taps{first, last};
      // Both ends grow with i, so a set that has gone does not come back; only "none" can be at
      // either end.
      size_t id = classes.empty() ? 0 : class_of.back();
      if (taps == Taps{0, 0} && !classes.empty() && classes[0] == taps) id = 0;
      if (classes.empty() || !(classes[id] == taps)) {
        id = classes.size();
        classes.push_back(taps);
      }
      class_of.push_back(id);
    }
  }

  // Inputs and padding from the first tap of the first output to the last of the last.
  size_t span() const { return (out - 1) * stride + (kernel - 1) * dilation + 1; }
  Axis padded() const { return {span(), out, kernel, stride, 0, dilation}; }
  // Input index that an existing tap of output i reads.
  size_t input_of(size_t i, size_t tap) const { return i * stride + tap * dilation - pad; }
  bool complete() const { return classes.size() == 1 && classes[0] == Taps{0, kernel}; }
};

inline constexpr size_t kNoPadding = SIZE_MAX;
inline constexpr size_t kGatherSlack = 16;
inline constexpr size_t kMaxKernel = 255;
inline constexpr size_t kMaxGeometry = 65535;        // stride, pad, dilation
inline constexpr uint64_t kMaxClassTaps = 1u << 26;  // classes * taps * output channels

// A position's class says which taps exist; positions of one class share their tables.
struct Geometry {
  Axis y, x;

  static Geometry of(const OpInput& input) {
    const OpSpec& s = input.spec;
    const BufferSpec &in = input.input(), &out = input.output();
    for (size_t axis = 0; axis < 2; ++axis) {
      input.require(s.kernel[axis] >= 1 && s.stride[axis] >= 1 && s.dilation[axis] >= 1 &&
                        s.kernel[axis] <= kMaxKernel && s.stride[axis] <= kMaxGeometry &&
                        s.dilation[axis] <= kMaxGeometry && s.pad[axis] <= kMaxGeometry,
                    "expected kernel 1 .. 255, stride and dilation 1 .. 65535, pad 0 .. 65535");
    }
    input.claim((size_t{out.height} + out.width) * sizeof(size_t));  // class_of
    Geometry g{Axis(in.height, out.height, s.kernel[0], s.stride[0], s.pad[0], s.dilation[0]),
               Axis(in.width, out.width, s.kernel[1], s.stride[1], s.pad[1], s.dilation[1])};
    input.require(uint64_t{g.n_classes()} * g.taps() * out.channels <= kMaxClassTaps,
                  "padding makes too many different borders");
    return g;
  }

  size_t taps() const { return y.kernel * x.kernel; }
  size_t n_classes() const { return y.classes.size() * x.classes.size(); }
  size_t class_of(size_t position) const {
    return y.class_of[position / x.out] * x.classes.size() + x.class_of[position % x.out];
  }
  bool tap_exists(size_t class_id, size_t tap) const {
    const Axis::Taps& ys = y.classes[class_id / x.classes.size()];
    const Axis::Taps& xs = x.classes[class_id % x.classes.size()];
    const size_t ty = tap / x.kernel, tx = tap % x.kernel;
    return ty >= ys.first && ty < ys.last && tx >= xs.first && tx < xs.last;
  }

  // True where every patch is one run of input positions; then patch i starts at position i *
  // patch_step().
  bool patches_are_runs() const {
    if (!y.complete() || !x.complete()) return false;
    const bool points = taps() == 1 && y.stride == 1 && x.stride == 1;
    const bool rows = x.kernel == x.in && x.out == 1 && x.dilation == 1 && y.dilation == 1;
    return (points && y.in == y.out && x.in == x.out) || rows;
  }
  size_t patch_step() const { return taps() == 1 && x.out != 1 ? 1 : y.stride * x.in; }

  // Calls function(input position) for the existing taps of an output position, in order.
  template <typename Function>
  void for_taps(size_t position, const Function& function) const {
    const size_t oy = position / x.out, ox = position % x.out;
    const Axis::Taps ys = y.classes[y.class_of[oy]], xs = x.classes[x.class_of[ox]];
    for (size_t ty = ys.first; ty < ys.last; ++ty) {
      for (size_t tx = xs.first; tx < xs.last; ++tx) {
        function(y.input_of(oy, ty) * x.in + x.input_of(ox, tx));
      }
    }
  }

  // The classes of n positions from `first` on; null where all are of one.
  const uint32_t* classes(size_t first, size_t n, uint32_t* ids) const {
    if (n_classes() == 1) return nullptr;
    size_t oy = first / x.out, ox = first % x.out;
    for (size_t i = 0; i < n; ++i) {
      ids[i] = static_cast<uint32_t>(y.class_of[oy] * x.classes.size() + x.class_of[ox]);
      if (++ox == x.out) ox = 0, ++oy;
    }
    return ids;
  }

  // The same convolution of an input that has its padding around it: all taps exist.
  Geometry padded() const { return {y.padded(), x.padded()}; }
  // Bytes of that input; kNoPadding where it would be too large to be worth it.
  size_t padded_bytes(size_t row_bytes) const;
  // Writes those lines of it that rows first_row .. last_row - 1 of the output read; bytes of
  // padding are `fill`.
  void pad(const uint8_t* input, size_t row_bytes, size_t first_row, size_t last_row, uint8_t* to,
           uint8_t fill = 0) const;

  // Copies the patches of n output positions from `first` on, row_bytes for each tap, missing taps
  // zero, to rows of patch_bytes with zeros behind the taps, fewer than kGatherSlack. May read and
  // write kGatherSlack bytes behind both.
  void gather(const uint8_t* input, size_t row_bytes, size_t first, size_t n, size_t patch_bytes,
              uint8_t* patches) const;

  // Copies the y.kernel lines that n outputs of one row from `position` on read, line_bytes apart,
  // what lies outside the input as bytes `fill`. Dilation along x is 1.
  void gather_lines(const uint8_t* input, size_t row_bytes, size_t position, size_t n,
                    size_t line_bytes, uint8_t fill, uint8_t* lines) const;

 private:
  void gather_partly(const uint8_t* input, size_t row_bytes, size_t oy, size_t ox,
                     uint8_t* patch) const;
};

}  // namespace bifast

#endif  // BIFAST_OPS_GEOMETRY_H_
