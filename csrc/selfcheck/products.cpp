// Binary products: of rows, and of images whose positions are taken at once.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "align.h"
#include "bifast.h"
#include "kernels/kernels.h"
#include "selfcheck/checks.h"
#include "selfcheck/data.h"

namespace bifast::selfcheck {

namespace {

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

}  // namespace

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

namespace {

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

}  // namespace

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

}  // namespace bifast::selfcheck
