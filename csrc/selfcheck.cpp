#include "selfcheck.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "align.h"
#include "bifast.h"
#include "dispatch.h"
#include "frontend/tables.h"
#include "kernels/kernels.h"
#include "selfcheck_data.h"

namespace bifast {
namespace {

using selfcheck::expect_same;
using selfcheck::kGuard;
using selfcheck::Place;
using selfcheck::Random;
using selfcheck::retile;
using selfcheck::text;

struct Product {
  size_t rows, cols, depth_bytes;
};

// n rows of depth_bytes, `stride` apart, to rows of another depth, zeros behind.
std::vector<uint8_t> repad(const std::vector<uint8_t>& rows, size_t n, size_t stride,
                           size_t depth_bytes, size_t padded_bytes) {
  std::vector<uint8_t> padded(n * padded_bytes);
  for (size_t r = 0; r < n; ++r) {
    std::memcpy(padded.data() + r * padded_bytes, rows.data() + r * stride, depth_bytes);
  }
  return padded;
}

void check_product(const Place& place, const Kernels& scalar, const Product& s,
                   const std::vector<uint8_t>& a, const std::vector<uint8_t>& w) {
  const size_t a_stride = s.rows == 0 ? 0 : a.size() / s.rows;
  const size_t p_stride = s.cols + kColumnBlock;
  std::vector<uint16_t> expected(s.rows * p_stride + kGuard, 0xABCD), got(expected);
  const size_t depth = round_up(s.depth_bytes, scalar.tile_bytes);
  const auto scalar_a = repad(a, s.rows, a_stride, s.depth_bytes, depth);
  const auto scalar_w = repad(w, s.cols, s.depth_bytes, s.depth_bytes, depth);
  scalar.binary_matmul(scalar_a.data(), depth, retile(scalar_w, s.cols, depth, scalar).data(),
                       expected.data(), p_stride, s.rows, s.cols, depth);
  place.kernels.binary_matmul(a.data(), a_stride,
                              retile(w, s.cols, s.depth_bytes, place.kernels).data(), got.data(),
                              p_stride, s.rows, s.cols, s.depth_bytes);
  expect_same(
      place,
      text("rows", s.rows) + " " + text("cols", s.cols) + " " + text("depth_bytes", s.depth_bytes),
      expected, got);
}

void check_binary_matmul(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t blocks : {1, 2, 3, 9, 15, 16, 25, 31, 32, 63}) {
    for (const size_t unit : {size_t{1}, 16 / place.kernels.tile_bytes}) {
      const size_t depth = blocks * unit * place.kernels.tile_bytes;
      for (const size_t tiles : {1, 2, 3, 8}) {
        const size_t cols = tiles * place.kernels.tile_cols;
        for (size_t rows = 0; rows < 10; ++rows) {
          if (cols > 64 && depth > 256 && rows != 5) continue;
          const size_t stride = depth + (rows % 2) * 24;
          const auto a = random.integers<uint8_t>(rows * stride),
                     w = random.integers<uint8_t>(cols * depth);
          check_product(place, scalar, {rows, cols, depth}, a, w);
        }
      }
    }
  }
  // Every bit differs: the widest count of each depth, up to kMaxDepthBits.
  for (const size_t depth : {16, 32, 48, 64, 240, 256, 496, 512, 4096, 8176, 8192}) {
    std::vector<uint8_t> a(5 * depth, 0xFF), w(64 * depth, 0);
    if (8 * depth > kMaxDepthBits) {
      for (size_t r = 0; r < 5; ++r) a[(r + 1) * depth - 1] = 0x7F;
    }
    check_product(place, scalar, {5, 64, depth}, a, w);
  }
}

void check_threshold_row(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t row_bytes : {1, 2, 4, 7, 8, 9, 16, 24, 48}) {
    const size_t padded = (8 * row_bytes + kColumnBlock - 1) / kColumnBlock * kColumnBlock;
    for (const unsigned shift : {0u, 8u, 14u}) {  // small ranges make p == limit frequent
      auto p = random.integers<uint16_t>(padded), limit = random.integers<uint16_t>(padded);
      const auto flip = random.integers<uint8_t>(padded / 8);
      for (uint16_t& value : p) value = static_cast<uint16_t>(value >> shift);
      for (uint16_t& value : limit) value = static_cast<uint16_t>(value >> shift);
      p[0] = limit[0] = 65535;
      std::vector<uint8_t> expected(row_bytes + kGuard, 0xAB), got(expected);
      scalar.threshold_row(p.data(), limit.data(), flip.data(), expected.data(), row_bytes);
      place.kernels.threshold_row(p.data(), limit.data(), flip.data(), got.data(), row_bytes);
      expect_same(place, text("row_bytes", row_bytes), expected, got);
    }
  }
}

void check_sign_row(const Place& place, const Kernels& scalar) {
  Random random;
  for (size_t n = 1; n <= 300; ++n) {
    const auto x = random.reals(n);
    for (const size_t row_bytes : {(n + 7) / 8, (n + 63) / 64 * 8, (n + 7) / 8 + 19}) {
      std::vector<uint8_t> expected(row_bytes + kGuard, 0xAB), got(expected);
      scalar.sign_row(x.data(), n, expected.data(), row_bytes);
      place.kernels.sign_row(x.data(), n, got.data(), row_bytes);
      expect_same(place, text("n", n) + " " + text("row_bytes", row_bytes), expected, got);
    }
  }
}

void check_memory_row(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t n_bytes : {8, 16, 24, 32, 40, 128}) {
    for (const size_t n_taps : {1, 2, 3, 4, 5, 7, 8, 15, 16, 20, 27, 28, 29, 31, 57, 300}) {
      auto x = random.integers<uint8_t>(n_taps * n_bytes);
      const auto w = random.integers<uint8_t>(n_taps * n_bytes);
      // The first byte differs in every tap.
      for (size_t tap = 0; tap < n_taps; ++tap)
        x[tap * n_bytes] = static_cast<uint8_t>(~w[tap * n_bytes]);
      std::vector<const uint8_t*> x_taps, w_taps;
      for (size_t tap = 0; tap < n_taps; ++tap) {
        x_taps.push_back(&x[tap * n_bytes]);
        w_taps.push_back(&w[tap * n_bytes]);
      }
      std::vector<uint16_t> expected(8 * n_bytes + kGuard, 0xABCD), got(expected);
      scalar.memory_row(x_taps.data(), w_taps.data(), n_taps, expected.data(), n_bytes);
      place.kernels.memory_row(x_taps.data(), w_taps.data(), n_taps, got.data(), n_bytes);
      expect_same(place, text("n_bytes", n_bytes) + " " + text("n_taps", n_taps), expected, got);
    }
  }
}

// What the bits of `steps` ask for: 1 scale and shift, 2 slope, 4 residual, 8 in place.
struct AffineCase {
  AffineCase(Random& random, size_t n, unsigned steps)
      : scale(random.reals(n)),
        shift(random.reals(n)),
        slope(random.reals(n)),
        residual(random.reals(n)) {
    if (steps & 1) affine = {scale.data(), shift.data(), nullptr};
    if (steps & 2) affine.slope = slope.data();
    has_residual = (steps & 4) != 0;
    in_place = (steps & 8) != 0;
  }
  // The result's start values: in place they are the residual.
  std::vector<float> output() const {
    std::vector<float> y(residual);
    y.resize(y.size() + kGuard, 123.0f);
    return y;
  }
  const float* residual_of(const std::vector<float>& y) const {
    return !has_residual ? nullptr : in_place ? y.data() : residual.data();
  }

  std::vector<float> scale, shift, slope, residual;
  Affine affine = {nullptr, nullptr, nullptr};
  bool has_residual, in_place;
};

void check_affine_counts(const Place& place, const Kernels& scalar) {
  Random random;
  for (size_t n = 1; n <= 300; n += n < 70 ? 1 : 23) {
    for (unsigned steps = 0; steps < 16; ++steps) {
      const AffineCase c(random, n, steps);
      const auto p = random.integers<uint16_t>(n);
      auto base = random.integers<int32_t>(n);
      for (int32_t& value : base) value = (value & 0xFFFF);
      auto expected = c.output(), got = c.output();
      scalar.affine_counts(p.data(), base.data(), &c.affine, c.residual_of(expected),
                           expected.data(), n);
      place.kernels.affine_counts(p.data(), base.data(), &c.affine, c.residual_of(got), got.data(),
                                  n);
      expect_same(place, text("n", n) + " " + text("steps", steps), expected, got);
    }
  }
}

void check_affine_floats(const Place& place, const Kernels& scalar) {
  Random random;
  for (size_t n = 1; n <= 300; n += n < 70 ? 1 : 23) {
    for (unsigned steps = 0; steps < 16; ++steps) {
      const AffineCase c(random, n, steps);
      const auto values = random.reals(n);
      // Without a residual, bit 8 runs in place instead.
      const bool in_place = c.in_place && !c.has_residual;
      auto expected = c.output(), got = c.output();
      const auto input = [&](std::vector<float>& y) { return in_place ? y.data() : values.data(); };
      scalar.affine_floats(input(expected), &c.affine, c.residual_of(expected), expected.data(), n);
      place.kernels.affine_floats(input(got), &c.affine, c.residual_of(got), got.data(), n);
      expect_same(place, text("n", n) + " " + text("steps", steps), expected, got);
    }
  }
}

void check_float_matmul(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t depth : {1, 2, 3, 4, 5, 6, 7, 8, 25, 64, 130}) {
    std::vector<uint32_t> offset(depth);
    for (uint32_t& k : offset) k = static_cast<uint32_t>(random.word() % (2 * depth));
    for (const size_t cols : {16, 32, 48, 128}) {
      for (size_t rows = 0; rows < 10; ++rows) {
        const size_t stride = depth + rows % 3;
        const auto a = random.reals(rows * stride + depth), w = random.reals(depth * cols);
        std::vector<float> expected(rows * cols + kGuard, 123.0f), got(expected);
        scalar.float_matmul(a.data(), stride, offset.data(), w.data(), expected.data(), rows, cols,
                            depth);
        place.kernels.float_matmul(a.data(), stride, offset.data(), w.data(), got.data(), rows,
                                   cols, depth);
        expect_same(place,
                    text("rows", rows) + " " + text("cols", cols) + " " + text("depth", depth),
                    expected, got);
      }
    }
  }
}

void check_byte_matmul(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t depth : {1, 2, 3, 4, 7, 42, 130}) {
    std::vector<uint32_t> offset(depth);
    for (uint32_t& k : offset) k = static_cast<uint32_t>(random.word() % (4 * depth));
    for (const size_t cols : {16, 32, 48, 64, 144}) {
      for (size_t rows = 0; rows < 10; ++rows) {
        const size_t stride = depth + rows % 3;
        auto a = random.integers<uint8_t>(rows * stride + 4 * depth + 4);
        const auto w = random.integers<int8_t>(4 * depth * cols);
        if (rows == 9) std::fill(a.begin(), a.end(), uint8_t{255});
        std::vector<float> expected(rows * cols + kGuard, 123.0f), got(expected);
        scalar.byte_matmul(a.data(), stride, offset.data(), w.data(), expected.data(), rows, cols,
                           depth);
        place.kernels.byte_matmul(a.data(), stride, offset.data(), w.data(), got.data(), rows, cols,
                                  depth);
        expect_same(place,
                    text("rows", rows) + " " + text("cols", cols) + " " + text("depth", depth),
                    expected, got);
      }
    }
  }
}

// What the front-end leaves readable behind the last frame.
constexpr size_t kSlack = 32;

struct alignas(64) Line {
  float values[16];
};

// [frames][n_mels] of `samples` [frames][n_fft] and kSlack more, frame_lanes frames at a time.
std::vector<float> log_mel_frames(const Kernels& kernels, const FrontendTables& tables,
                                  const std::vector<float>& samples) {
  const size_t lanes = kernels.frame_lanes, count = (samples.size() - kSlack) / tables.n_fft;
  std::vector<Line> work(log_mel_bytes(tables.n_fft, lanes) / sizeof(Line) + 1);
  std::vector<float> out(count * tables.n_mels);
  const float* frames[kMaxFrameLanes];
  float* rows[kMaxFrameLanes];
  for (size_t first = 0; first < count; first += lanes) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      frames[lane] = &samples[(first + lane) * tables.n_fft];
      rows[lane] = &out[(first + lane) * tables.n_mels];
    }
    kernels.log_mel(&tables, frames, work.data(), rows);
  }
  return out;
}

void check_log_mel(const Place& place, const Kernels& scalar) {
  Random random;
  constexpr size_t kFrames = 32;  // a multiple of every frame_lanes
  for (const uint32_t n_fft : {16u, 32u, 512u, 2048u}) {
    const uint32_t n_mels = n_fft < 512 ? 3 : 32;
    const bifast_frontend_params params = {16000, 16000, n_fft,  n_fft, 512,  n_mels,
                                           1,     0.0,   8000.0, 768.0, 1e-10};
    const FrontendTableData data(params);
    auto samples = random.reals(kFrames * n_fft + kSlack);
    std::fill_n(samples.begin(), n_fft, 0.0f);  // silence reaches the floor
    for (size_t i = 0; i < n_fft; ++i) {        // a slow wave leaves quiet bands
      samples[n_fft + i] = std::sin(0.01f * static_cast<float>(i));
    }
    const FrontendTables tables = data.view(params);
    expect_same(place, text("n_fft", n_fft), log_mel_frames(scalar, tables, samples),
                log_mel_frames(place.kernels, tables, samples));
  }
}

struct Check {
  const char* kernel;
  void (*run)(const Place&, const Kernels& scalar);
};

constexpr Check kChecks[] = {
    {"binary_matmul", check_binary_matmul},
    {"threshold_row", check_threshold_row},
    {"sign_row", check_sign_row},
    {"memory_row", check_memory_row},
    {"affine_counts", check_affine_counts},
    {"affine_floats", check_affine_floats},
    {"float_matmul", check_float_matmul},
    {"byte_matmul", check_byte_matmul},
    {"log_mel", check_log_mel},
};

}  // namespace

size_t kernel_count() { return std::size(kChecks); }

const char* kernel_name(size_t index) { return kChecks[index].kernel; }

void check_kernel(const Kernels& kernels, size_t index) {
  kChecks[index].run({kernels, kChecks[index].kernel}, find_isa("scalar"));
}

}  // namespace bifast
