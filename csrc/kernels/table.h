// The kernel table of an instruction set, from the class that its file defines.
#ifndef BIFAST_KERNELS_TABLE_H_
#define BIFAST_KERNELS_TABLE_H_

#include "kernels/bytes.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/largest.h"
#include "kernels/log_mel.h"
#include "kernels/memory.h"
#include "kernels/products.h"
#include "kernels/quantise.h"
#include "kernels/stages.h"

namespace bifast {
namespace {

template <typename Isa>
constexpr Kernels kernels_of(const char* name) {
  return {
      .name = name,
      .tile_cols = Isa::kTileCols,
      .tile_bytes = Isa::kTileBytes,
      .binary_thresholds = binary_thresholds<Isa>,
      .binary_floats = binary_floats<Isa>,
      .float_product = float_product<Isa>,
      .memory_row = memory_row<Isa::kCountLanes>,
      .memory_floats = memory_floats<Isa>,
      .count_thresholds = finish_count_rows<Isa, ThresholdStage>,
      .count_floats = finish_count_rows<Isa, FloatStage>,
      .float_rows = finish_float_rows<Isa>,
      .byte_floats = byte_product<Isa, FloatStage>,
      .byte_signs = byte_product<Isa, SumStage>,
      .largest = largest<Isa::kLanes>,
      .quantise = quantise<Isa>,
      .log_mel = log_mel<Isa>,
  };
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_TABLE_H_
