// 1-bit weights in the order in which the kernels of one instruction set read them.
#ifndef BIFAST_OPS_PANEL_H_
#define BIFAST_OPS_PANEL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "align.h"
#include "format.h"
#include "kernels/kernels.h"

namespace bifast {

// How the patches are laid out that the weights meet: `taps` groups of `tap_bytes`, of which
// in_channels bits are used, padded to depth_bytes.
struct PatchLayout {
  size_t taps, in_channels, tap_bytes, depth_bytes;
};

using Panel = AlignedVector<uint8_t>;

// The panels of a model while it is loaded: layers that share weights (the same layer at several
// depths) share their panel.
class PanelCache {
 public:
  // weights: bits [channels][taps * in_channels]. Channels are padded by zeros to whole tiles, for
  // a layer that ends in thresholds to whole groups of them.
  std::shared_ptr<const Panel> get(uint32_t tensor_id, const TensorSpec& weights,
                                   const PatchLayout& layout, bool thresholds,
                                   const Kernels& kernels);

 private:
  // The tensor's shape and in_channels determine the rest of the layout.
  std::map<std::tuple<uint32_t, size_t, bool>, std::shared_ptr<const Panel>> panels_;
};

}  // namespace bifast

#endif  // BIFAST_OPS_PANEL_H_
