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

using selfcheck::compare;
using selfcheck::Ending;

// A binary product of `planes` planes; the same numbers for every instruction set, whose rows may
// be of another depth.
struct Product {
  size_t rows, cols, depth_bytes, planes;
  std::vector<uint8_t> a, w;  // [planes][rows][stride], [cols][depth_bytes]
  size_t stride;

  static Product random(Random& random, size_t rows, size_t cols, size_t depth_bytes,
                        size_t planes) {
    const size_t stride = depth_bytes + (rows % 2) * 24;
    return {rows,
            cols,
            depth_bytes,
            planes,
            random.integers<uint8_t>(planes * rows * stride),
            random.integers<uint8_t>(cols * depth_bytes),
            stride};
  }

  std::string shape() const {
    return text("rows", rows) + " " + text("cols", cols) + " " + text("depth_bytes", depth_bytes) +
           " " + text("planes", planes);
  }

  // n rows to rows of `to_bytes`, zeros behind.
  static std::vector<uint8_t> repad(const std::vector<uint8_t>& from, size_t n, size_t from_stride,
                                    size_t from_bytes, size_t to_bytes) {
    std::vector<uint8_t> to(n * to_bytes);
    for (size_t r = 0; r < n; ++r) {
      std::memcpy(to.data() + r * to_bytes, from.data() + r * from_stride, from_bytes);
    }
    return to;
  }

  // group_tiles: of the kernel that is run, 1 for floats.
  template <typename Run>
  void run(const Kernels& kernels, size_t group_tiles, const Run& with) const {
    const size_t depth = round_up(depth_bytes, kernels.tile_bytes);
    std::vector<uint8_t> rows_of_w(round_up(cols, kernels.tile_cols * group_tiles) * depth);
    for (size_t n = 0; n < cols; ++n) {
      std::memcpy(rows_of_w.data() + grouped_row(n, kernels.tile_cols, group_tiles) * depth,
                  w.data() + n * depth_bytes, depth_bytes);
    }
    const auto panel = retile(rows_of_w, depth, kernels);
    const bool as_it_is = depth == depth_bytes;
    const auto copy = repad(a, as_it_is ? 0 : planes * rows, stride, depth_bytes, depth);
    const size_t step = as_it_is ? stride : depth;
    const BinaryProduct product{as_it_is ? a.data() : copy.data(), step,
                                planes == 2 ? rows * step : 0, panel.data(), depth};
    with(product);
  }
};

void check_thresholds(const Place& place, const Kernels& scalar, const Product& product,
                      Ending& ending) {
  ending.set_depth(8 * product.depth_bytes);
  compare(place, scalar, product.shape(), ending, false, [&](const Kernels& k, const Results& to) {
    product.run(k, k.group_tiles, [&](const BinaryProduct& p) {
      const ThresholdStage stage = ending.thresholds(k, p.depth_bytes);
      k.binary_thresholds(&p, &stage, &to);
    });
  });
}

void check_floats(const Place& place, const Kernels& scalar, const Product& product,
                  const Ending& ending) {
  const FloatStage stage = ending.floats();
  compare(place, scalar, product.shape(), ending, true, [&](const Kernels& k, const Results& to) {
    product.run(k, 1, [&](const BinaryProduct& p) { k.binary_floats(&p, &stage, &to); });
  });
}

// Calls check(product, ending) on many shapes.
template <typename Check>
void for_products(const Place& place, size_t planes, const Check& check) {
  Random random;
  unsigned steps = 0;
  for (const size_t blocks : {1, 2, 3, 4, 7, 9, 15, 16, 25, 31, 32, 63}) {
    for (const size_t unit : {size_t{1}, 16 / place.kernels.tile_bytes}) {
      const size_t depth = blocks * unit * place.kernels.tile_bytes;
      for (const size_t cols : {1, 16, 30, 32, 48, 64, 72, 130, 256}) {
        for (size_t rows = 0; rows < 8; ++rows) {
          if (cols > 64 && (depth > 256 || rows < 2) && rows != 5) continue;
          Ending ending(random, rows, cols, steps = (steps + 37) % Ending::kCombinations);
          check(Product::random(random, rows, cols, depth, planes), ending);
        }
      }
    }
  }
  // Every bit differs: the widest count of each depth, up to kMaxDepthBits.
  for (const size_t depth : {16, 32, 48, 64, 240, 256, 496, 512, 4096, 8176, 8192}) {
    Product product{5,
                    64,
                    depth,
                    1,
                    std::vector<uint8_t>(5 * depth, 0xFF),
                    std::vector<uint8_t>(64 * depth, 0),
                    depth};
    if (8 * depth > kMaxDepthBits) {
      for (size_t r = 0; r < 5; ++r) product.a[(r + 1) * depth - 1] = 0x7F;
    }
    Ending ending(random, 5, 64, 48);
    check(product, ending);
  }
}

void check_binary_thresholds(const Place& place, const Kernels& scalar) {
  for_products(place, 1, [&](const Product& product, Ending& ending) {
    check_thresholds(place, scalar, product, ending);
  });
}

void check_binary_floats(const Place& place, const Kernels& scalar) {
  for (const size_t planes : {1, 2}) {
    for_products(place, planes, [&](const Product& product, const Ending& ending) {
      check_floats(place, scalar, product, ending);
    });
  }
}

// A convolution of bits for the kernels that take all of its positions at once, and the patches for
// those that do not.
struct ImageProduct {
  BinaryImage image;
  size_t cols;  // channels
  Product patches;
  std::vector<uint8_t> a;

  ImageProduct(Random& random, const BinaryImage& of, size_t channels, bool widest)
      : image(of), cols(channels) {
    const size_t height =
        (image.rows - 1) * image.stride[0] + (image.kernel[0] - 1) * image.dilation[0] + 1;
    a = random.integers<uint8_t>(height * image.width * image.position_bytes);
    if (widest) std::fill(a.begin(), a.end(), uint8_t{0xFF});
    const size_t rows = image.rows * image.cols;
    const size_t depth = image.kernel[0] * image.kernel[1] * image.position_bytes;
    patches = Product::random(random, rows, cols, depth, 1);
    if (widest) std::fill(patches.w.begin(), patches.w.end(), uint8_t{0});
    patches.stride = depth;
    patches.a.clear();
    for (size_t row = 0; row < rows; ++row) gather(row / image.cols, row % image.cols);
  }

  void gather(size_t y, size_t x) {
    for (size_t i = 0; i < image.kernel[0]; ++i) {
      for (size_t j = 0; j < image.kernel[1]; ++j) {
        const size_t line = y * image.stride[0] + i * image.dilation[0];
        const size_t at = line * image.width + x * image.stride[1] + j * image.dilation[1];
        const auto from = a.begin() + static_cast<std::ptrdiff_t>(at * image.position_bytes);
        patches.a.insert(patches.a.end(), from,
                         from + static_cast<std::ptrdiff_t>(image.position_bytes));
      }
    }
  }

  std::string shape() const {
    return patches.shape() + " " + text("width", image.width) + " " +
           text("stride", image.stride[0]);
  }

  // with(product) where the kernels have none for images, else with(image).
  template <typename Run, typename RunImage>
  void run(const Kernels& kernels, const Run& with, const RunImage& with_image) const {
    if (kernels.image_bytes == nullptr) return patches.run(kernels, 1, with);
    patches.run(kernels, 1, [&](const BinaryProduct& product) {
      std::vector<int32_t> ones(round_up(cols, kColumnBlock), 0);
      for (size_t i = 0; i < 8 * patches.w.size(); ++i) {
        ones[i / (8 * patches.depth_bytes)] += patches.w[i / 8] >> (i % 8) & 1;
      }
      BinaryImage given = image;
      given.a = a.data();
      given.panel = product.panel;
      given.ones = ones.data();
      AlignedVector<uint8_t> work(kernels.image_bytes(&given) + kGuard, 0xAB);
      given.work = work.data();
      with_image(given);
      for (size_t i = 0; i < kGuard; ++i) {
        if (work[work.size() - 1 - i] != 0xAB) throw Error(BIFAST_INTERNAL, "work: written behind");
      }
    });
  }
};

// Calls check(product, ending) on many shapes.
template <typename Check>
void for_images(const Place& place, const Check& check) {
  if (place.kernels.image_bytes == nullptr) return;
  Random random;
  unsigned steps = 0;
  // Rows and columns, kernel, stride, dilation; position_bytes 8 and more, one and two parts of
  // depth.
  const BinaryImage shapes[] = {
      {nullptr, 8, 1, 1, 1, {1, 1}, {1, 1}, {1, 1}, nullptr, nullptr, nullptr},
      {nullptr, 8, 19, 3, 17, {3, 3}, {1, 1}, {1, 1}, nullptr, nullptr, nullptr},
      {nullptr, 16, 16, 5, 7, {3, 3}, {2, 2}, {1, 1}, nullptr, nullptr, nullptr},
      {nullptr, 24, 12, 4, 5, {2, 3}, {1, 2}, {2, 1}, nullptr, nullptr, nullptr},
      {nullptr, 8, 40, 2, 33, {1, 4}, {3, 1}, {1, 2}, nullptr, nullptr, nullptr},
      {nullptr, 64, 9, 7, 7, {3, 3}, {1, 1}, {1, 1}, nullptr, nullptr, nullptr},
  };
  for (const BinaryImage& shape : shapes) {
    for (const size_t cols : {32, 64, 96, 160}) {
      for (int i = 0; i < 4; ++i) {
        const ImageProduct product(random, shape, cols, i == 3);
        // No second plane of bits.
        steps = (steps + 37) % (Ending::kCombinations / 2);
        Ending ending(random, shape.rows * shape.cols, cols, steps);
        check(product, ending);
      }
    }
  }
}

void check_image_thresholds(const Place& place, const Kernels& scalar) {
  for_images(place, [&](const ImageProduct& product, Ending& ending) {
    ending.set_depth(8 * product.patches.depth_bytes);
    const ThresholdStage stage = ending.thresholds();
    compare(place, scalar, product.shape(), ending, false,
            [&](const Kernels& k, const Results& to) {
              product.run(
                  k, [&](const BinaryProduct& p) { k.binary_thresholds(&p, &stage, &to); },
                  [&](const BinaryImage& p) { k.image_thresholds(&p, &stage, &to); });
            });
  });
}

void check_image_floats(const Place& place, const Kernels& scalar) {
  for_images(place, [&](const ImageProduct& product, const Ending& ending) {
    const FloatStage stage = ending.floats();
    compare(place, scalar, product.shape(), ending, true, [&](const Kernels& k, const Results& to) {
      product.run(
          k, [&](const BinaryProduct& p) { k.binary_floats(&p, &stage, &to); },
          [&](const BinaryImage& p) { k.image_floats(&p, &stage, &to); });
    });
  });
}

void check_memory_row(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t n_bytes : {8, 16, 24, 32, 40, 128}) {
    for (const size_t n_taps : {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 20, 27, 28, 29, 31, 57, 300}) {
      const size_t step = n_bytes + n_taps % 3 * 8;
      auto x = random.integers<uint8_t>((n_taps + 1) * step);
      const auto w = random.integers<uint8_t>((n_taps + 1) * n_bytes);
      // The first byte differs in every tap.
      for (size_t tap = 0; tap < n_taps; ++tap) {
        x[tap * step] = static_cast<uint8_t>(~w[tap * n_bytes]);
      }
      std::vector<uint16_t> expected(8 * n_bytes + kGuard, 0xABCD), got(expected);
      scalar.memory_row(x.data(), step, w.data(), n_taps, expected.data(), n_bytes);
      place.kernels.memory_row(x.data(), step, w.data(), n_taps, got.data(), n_bytes);
      expect_same(place, text("n_bytes", n_bytes) + " " + text("n_taps", n_taps), expected, got);
    }
  }
}

void check_memory_floats(const Place& place, const Kernels& scalar) {
  Random random;
  unsigned steps = 0;
  for (const size_t channels : {8, 30, 64, 72, 128, 200, 256}) {
    for (const size_t most_taps : {1, 3, 5, 7, 8, 20, 31, 60}) {
      const size_t rows = 5, n_bytes = round_up((channels + 7) / 8, 8), step = n_bytes + 8;
      const auto x = random.integers<uint8_t>((rows + most_taps) * step);
      const auto w = random.integers<uint8_t>((most_taps + 1) * n_bytes);
      Ending ending(random, rows, channels, steps = (steps + 37) % Ending::kCombinations);
      const std::vector<MemoryRow> from = [&] {
        std::vector<MemoryRow> list;
        for (size_t r = 0; r < rows; ++r) {
          const size_t n_taps = ending.class_of(r) * most_taps / 2;
          list.push_back({x.data() + r * step, w.data(), n_taps});
        }
        return list;
      }();
      for (size_t id = 0; id < 3; ++id) ending.set_base(id, id * most_taps / 2);
      const FloatStage stage = ending.floats();
      compare(place, scalar, text("channels", channels) + " " + text("taps", most_taps), ending,
              true, [&](const Kernels& k, const Results& to) {
                k.memory_floats(from.data(), step, n_bytes, &stage, &to);
              });
    }
  }
}

// Calls check(rows, channels, ending, stride) on many shapes.
template <typename Check>
void for_rows(const Check& check) {
  Random random;
  for (size_t channels = 1; channels <= 300; channels += channels < 70 ? 1 : 23) {
    for (unsigned steps = 0; steps < Ending::kCombinations; steps += channels < 20 ? 1 : 5) {
      const size_t rows = 1 + steps % 3;
      Ending ending(random, rows, channels, steps);
      check(random, text("channels", channels) + " " + text("steps", steps), rows, channels,
            ending);
    }
  }
}

void check_count_thresholds(const Place& place, const Kernels& scalar) {
  for_rows([&](Random& random, const std::string& shape, size_t rows, size_t channels,
               Ending& ending) {
    const size_t stride = round_up(channels, kColumnBlock);
    auto p = random.integers<uint16_t>(rows * stride);
    if (channels % 2 == 0) {  // small ranges make p == limit frequent
      ending.set_depth(5);
      for (uint16_t& value : p) value %= 6;
    }
    p[0] = 65535;
    const CountRows from{p.data(), nullptr, stride};
    const ThresholdStage stage = ending.thresholds();
    compare(place, scalar, shape, ending, false,
            [&](const Kernels& k, const Results& to) { k.count_thresholds(&from, &stage, &to); });
  });
}

void check_count_floats(const Place& place, const Kernels& scalar) {
  for_rows([&](Random& random, const std::string& shape, size_t rows, size_t channels,
               const Ending& ending) {
    const size_t stride = round_up(channels, kColumnBlock) + 64;
    const auto p = random.integers<uint16_t>(2 * rows * stride);
    const bool two = channels % 3 == 0;
    const CountRows from{p.data(), two ? p.data() + rows * stride : nullptr, stride};
    const FloatStage stage = ending.floats();
    compare(place, scalar, shape, ending, true,
            [&](const Kernels& k, const Results& to) { k.count_floats(&from, &stage, &to); });
  });
}

void check_float_rows(const Place& place, const Kernels& scalar) {
  for_rows([&](Random& random, const std::string& shape, size_t rows, size_t channels,
               const Ending& ending) {
    const auto v = random.reals(rows * (channels + 3));
    const FloatStage stage = ending.floats();
    compare(place, scalar, shape, ending, true, [&](const Kernels& k, const Results& to) {
      // Without a residual, also in place.
      const bool in_place = to.y != nullptr && to.residual_stride == 0;
      const FloatRows from{in_place ? to.y : v.data(), in_place ? channels : channels + 3};
      k.float_rows(&from, &stage, &to);
    });
  });
}

void check_float_product(const Place& place, const Kernels& scalar) {
  Random random;
  unsigned steps = 0;
  for (const size_t depth : {1, 2, 3, 4, 5, 6, 7, 8, 25, 64, 130}) {
    std::vector<uint32_t> offset(depth);
    for (uint32_t& k : offset) k = static_cast<uint32_t>(random.word() % (2 * depth));
    for (const size_t channels : {1, 10, 16, 32, 47, 128}) {
      for (size_t rows = 0; rows < 10; ++rows) {
        const size_t stride = depth + rows % 3, cols = round_up(channels, kFloatBlock);
        const auto a = random.reals(rows * stride + depth), w = random.reals(depth * cols);
        const FloatProduct product{a.data(), stride, offset.data(), w.data(), cols, depth};
        const Ending ending(random, rows, channels, steps = (steps + 37) % Ending::kCombinations);
        const FloatStage stage = ending.floats();
        compare(place, scalar,
                text("rows", rows) + " " + text("channels", channels) + " " + text("depth", depth),
                ending, true, [&](const Kernels& k, const Results& to) {
                  k.float_product(&product, &stage, &to);
                });
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

void check_quantise(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t n : {0, 1, 3, 15, 16, 17, 64, 100, 1024}) {
    auto x = random.reals(n);
    for (size_t i = 0; i < n; i += 7) {
      const float edges[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, -0.0f, 0.5f};
      x[i] = edges[i / 7 % std::size(edges)];
    }
    for (const float scale : {1.0f, -37.3f, 100.0f, 0.0f}) {
      std::vector<uint8_t> expected(n + kGuard, 123), got(expected);
      scalar.quantise(x.data(), n, scale, 128.5f, expected.data());
      place.kernels.quantise(x.data(), n, scale, 128.5f, got.data());
      expect_same(place, text("n", n), expected, got);
    }
  }
}

void check_byte_runs(const Place& place, const Kernels& scalar) {
  if (place.kernels.byte_runs == nullptr) return;
  Random random;
  for (const size_t length : {1, 6, 16}) {
    for (const size_t n_runs : {1, 7, 40}) {
      const size_t depth = length * n_runs;
      std::vector<uint32_t> starts(n_runs), offset(depth);
      for (uint32_t& start : starts) start = static_cast<uint32_t>(random.word() % (4 * depth));
      for (size_t k = 0; k < depth; ++k) {
        offset[k] = starts[k / length] + static_cast<uint32_t>(4 * (k % length));
      }
      for (const size_t cols : {32, 96}) {
        for (const size_t rows : {32, 33, 64, 95}) {
          const size_t stride = 1 + random.word() % 70;
          const auto a = random.integers<uint8_t>(rows * stride + 8 * depth);
          const auto w = random.integers<int8_t>(4 * depth * cols);
          std::vector<float> expected(rows * cols + kGuard, 123.0f), got(expected);
          scalar.byte_matmul(a.data(), stride, offset.data(), w.data(), expected.data(), rows, cols,
                             depth);
          place.kernels.byte_runs(a.data(), stride, starts.data(), n_runs, length, w.data(),
                                  got.data(), rows, cols);
          expect_same(place,
                      text("rows", rows) + " " + text("cols", cols) + " " + text("runs", n_runs) +
                          " " + text("length", length),
                      expected, got);
        }
      }
    }
  }
}

void check_largest(const Place& place, const Kernels& scalar) {
  Random random;
  for (size_t n = 1; n < 11; ++n) {
    for (size_t cols = 1; cols < 70; ++cols) {
      std::vector<float> values = random.reals(n * cols);
      for (float& value : values) {
        if (random.word() % 8 == 0) value = std::nanf("");
      }
      std::vector<const float*> x;
      for (size_t t = 0; t < n; ++t) x.push_back(values.data() + t * cols);
      std::vector<float> expected(cols + kGuard, 123.0f), got(expected);
      scalar.largest(x.data(), n, cols, expected.data());
      place.kernels.largest(x.data(), n, cols, got.data());
      expect_same(place, text("n", n) + " " + text("cols", cols), expected, got);
    }
  }
}

// What the front-end leaves readable behind the last frame.
constexpr size_t kSlack = 32;

struct alignas(64) Line {
  float values[16];
};

// [frames][n_mels] of `samples` [frames][n_fft] and kSlack more, `together` frames in a call, at
// most frame_lanes.
std::vector<float> log_mel_frames(const Kernels& kernels, const FrontendTables& tables,
                                  const std::vector<float>& samples, size_t together) {
  const size_t lanes = kernels.frame_lanes, count = (samples.size() - kSlack) / tables.n_fft;
  std::vector<Line> work(log_mel_bytes(tables.n_fft, lanes) / sizeof(Line) + 1);
  std::vector<float> out(count * tables.n_mels), unused(tables.n_mels);
  const float* frames[kMaxFrameLanes];
  float* rows[kMaxFrameLanes];
  for (size_t first = 0; first < count; first += together) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      const size_t index = first + (lane < together ? lane : 0);
      frames[lane] = &samples[index * tables.n_fft];
      rows[lane] = lane < together ? &out[index * tables.n_mels] : unused.data();
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
    const auto expected = log_mel_frames(scalar, tables, samples, 1);
    // Fewer frames than lanes may take a path of their own.
    for (size_t together = place.kernels.frame_lanes; together > 0; together /= 2) {
      expect_same(place, text("n_fft", n_fft) + " " + text("frames", together), expected,
                  log_mel_frames(place.kernels, tables, samples, together));
    }
  }
}

struct Check {
  const char* kernel;
  void (*run)(const Place&, const Kernels& scalar);
};

constexpr Check kChecks[] = {
    {"binary_thresholds", check_binary_thresholds},
    {"binary_floats", check_binary_floats},
    {"image_thresholds", check_image_thresholds},
    {"image_floats", check_image_floats},
    {"float_product", check_float_product},
    {"byte_matmul", check_byte_matmul},
    {"byte_runs", check_byte_runs},
    {"largest", check_largest},
    {"quantise", check_quantise},
    {"memory_row", check_memory_row},
    {"memory_floats", check_memory_floats},
    {"count_thresholds", check_count_thresholds},
    {"count_floats", check_count_floats},
    {"float_rows", check_float_rows},
    {"log_mel", check_log_mel},
};

}  // namespace

size_t kernel_count() { return std::size(kChecks); }

const char* kernel_name(size_t index) { return kChecks[index].kernel; }

void check_kernel(const Kernels& kernels, size_t index) {
  kChecks[index].run({kernels, kChecks[index].kernel}, find_isa("scalar"));
}

}  // namespace bifast
