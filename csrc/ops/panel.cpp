// Re-tiling of 1-bit weights.
#include "ops/panel.h"

#include <cstring>

#include "align.h"

namespace bifast {
namespace {

// Rows with their taps padded as the activations are: [padded channels][depth_bytes].
Panel pad_taps(const TensorSpec& weights, const PatchLayout& layout, size_t tile_cols,
               size_t group_tiles) {
  const size_t n_padded = round_up(weights.rows, tile_cols * group_tiles);
  Panel rows(n_padded * layout.depth_bytes, 0);
  for (size_t n = 0; n < weights.rows; ++n) {
    const uint8_t* from = weights.data + n * weights.row_bytes();
    uint8_t* to = rows.data() + grouped_row(n, tile_cols, group_tiles) * layout.depth_bytes;
    if (layout.in_channels == 8 * layout.tap_bytes) {  // nothing to pad between taps
      std::memcpy(to, from, layout.taps * layout.tap_bytes);
      continue;
    }
    for (size_t i = 0; i < layout.taps * layout.in_channels; ++i) {
      const size_t tap = i / layout.in_channels, c = i % layout.in_channels;
      const int bit = from[i / 8] >> (i % 8) & 1;
      to[tap * layout.tap_bytes + c / 8] |= static_cast<uint8_t>(bit << (c % 8));
    }
  }
  return rows;
}

// panel[n / nr][k][n % nr][kBytes]; a constant kBytes makes the copies single moves.
template <size_t kBytes>
Panel tile(const Panel& rows, size_t nr, size_t depth_bytes) {
  Panel panel(rows.size() + kPanelSlack);
  const size_t steps = depth_bytes / kBytes, n_rows = rows.size() / depth_bytes;
  for (size_t n = 0; n < n_rows; ++n) {
    const uint8_t* from = rows.data() + n * depth_bytes;
    uint8_t* to = panel.data() + (n / nr * steps * nr + n % nr) * kBytes;
    for (size_t k = 0; k < steps; ++k) std::memcpy(to + k * nr * kBytes, from + k * kBytes, kBytes);
  }
  return panel;
}

}  // namespace

std::shared_ptr<const Panel> PanelCache::get(uint32_t tensor_id, const TensorSpec& weights,
                                             const PatchLayout& layout, bool thresholds,
                                             const Kernels& kernels) {
  std::shared_ptr<const Panel>& panel = panels_[{tensor_id, layout.in_channels, thresholds}];
  if (panel != nullptr) return panel;
  const Panel rows =
      pad_taps(weights, layout, kernels.tile_cols, thresholds ? kernels.group_tiles : 1);
  const auto tiled = [&] {
    switch (kernels.tile_bytes) {
      case 1:
        return tile<1>(rows, kernels.tile_cols, layout.depth_bytes);
      case 2:
        return tile<2>(rows, kernels.tile_cols, layout.depth_bytes);
      case 4:
        return tile<4>(rows, kernels.tile_cols, layout.depth_bytes);
      case 8:
        return tile<8>(rows, kernels.tile_cols, layout.depth_bytes);
      default:
        return tile<16>(rows, kernels.tile_cols, layout.depth_bytes);
    }
  };
  panel = std::make_shared<const Panel>(tiled());
  return panel;
}

}  // namespace bifast
