// What of the trunk a window shares with the one before it, and how it is put to use.
#include "trunk.h"

#include <cstring>

#include "ops/geometry.h"

namespace bifast {
namespace {

// Rows that are kept from window to window: layers may share a buffer, but each keeps its own.
constexpr size_t kMaxKeptBytes = size_t{64} << 20;

}  // namespace

Trunk::Trunk(const Model& model, int64_t step, bool again) : model_(model) {
  const auto frames = static_cast<int64_t>(model.input().height);
  std::vector<Rows> of_buffer(model.buffers().size());
  if (step < frames) {
    of_buffer[0] = {0, static_cast<size_t>(frames - step), static_cast<size_t>(step)};
  }
  for (size_t i = 0; i < model.n_shared_layers(); ++i) {
    const Model::Layer& layer = model.layers()[i];
    const Rows unchanged = unchanged_rows(layer, of_buffer);
    for (const uint32_t id : {layer.out_f32, layer.out_bits}) {
      if (id != kNone) of_buffer[id] = unchanged;
    }
    plan_step(layer, unchanged);
  }
  if (again) plan_carried();
  kept_.resize(n_kept_);
}

// The longest run of rows that read the same taps of unchanged rows.
Trunk::Rows Trunk::unchanged_rows(const Model::Layer& layer, const std::vector<Rows>& of_buffer) {
  const RowOp* op = layer.op->as_row_op();
  const Rows& in = of_buffer[layer.input];
  if (op == nullptr || in.first == in.last) return {};
  const Axis& axis = op->rows();
  const size_t shift = in.shift / axis.stride;
  if (shift * axis.stride != in.shift) return {};
  const auto contains = [](const Rows& rows, size_t row) {
    return row >= rows.first && row < rows.last;
  };
  const auto is_unchanged = [&](size_t row) {
    if (row + shift >= axis.out || axis.class_of[row] != axis.class_of[row + shift]) return false;
    const Axis::Taps taps = axis.classes[axis.class_of[row]];
    if (taps.first < taps.last && !(contains(in, axis.input_of(row, taps.first)) &&
                                    contains(in, axis.input_of(row, taps.last - 1)))) {
      return false;
    }
    if (layer.residual == kNone) return true;
    const Rows& residual = of_buffer[layer.residual];
    return residual.shift == shift && contains(residual, row);
  };
  Rows best{0, 0, shift};
  for (size_t row = 0, first = 0; row < axis.out; ++row) {
    if (!is_unchanged(row)) {
      first = row + 1;
    } else if (row + 1 - first > best.last - best.first) {
      best.first = first;
      best.last = row + 1;
    }
  }
  return best;
}

Trunk::Piece Trunk::piece(uint32_t buffer, size_t from, size_t to, size_t bytes) {
  const size_t kept = n_kept_;
  n_kept_ += bytes;
  return {buffer, from, to, bytes, kept};
}

void Trunk::plan_step(const Model::Layer& layer, const Rows& unchanged) {
  Step step{layer.op.get(), unchanged, {}};
  const size_t before = n_kept_;
  for (const uint32_t id : {layer.out_f32, layer.out_bits}) {
    if (id == kNone || unchanged.first == unchanged.last) continue;
    const BufferSpec& b = model_.buffers()[id];
    const size_t line = b.width * b.row_bytes();
    for (size_t plane = 0; plane < b.planes; ++plane) {
      const size_t to = plane * b.plane_bytes() + unchanged.first * line;
      step.moved.push_back(
          piece(id, to + unchanged.shift * line, to, (unchanged.last - unchanged.first) * line));
    }
  }
  if (n_kept_ > kMaxKeptBytes) {  // too much: this layer computes all its rows
    n_kept_ = before;
    step.moved.clear();
  }
  const uint64_t work = model_.work(layer);
  const size_t moved = step.moved.empty() ? 0 : unchanged.last - unchanged.first;
  work_ += moved > 0 ? work - work * moved / layer.op->as_row_op()->rows().out : work;
  steps_.push_back(std::move(step));
}

void Trunk::plan_carried() {
  std::vector<bool> written(model_.buffers().size(), false), carried = written;
  written[0] = true;
  for (size_t i = 0; i < model_.layers().size(); ++i) {
    const Model::Layer& layer = model_.layers()[i];
    if (i < steps_.size()) {
      for (const uint32_t id : {layer.out_f32, layer.out_bits}) {
        if (id != kNone) written[id] = true;
      }
      continue;
    }
    for (const uint32_t id : {layer.input, layer.residual}) {
      if (id == kNone || !written[id] || carried[id]) continue;
      carried[id] = true;
      carried_.push_back(piece(id, 0, 0, model_.buffers()[id].bytes()));
    }
  }
}

void Trunk::keep(const Workspace& workspace, const std::vector<Piece>& pieces) noexcept {
  for (const Piece& p : pieces) {
    std::memcpy(kept_.data() + p.kept, workspace.buffer<uint8_t>(p.buffer) + p.from, p.bytes);
  }
}

void Trunk::put_back(const Workspace& workspace, const std::vector<Piece>& pieces) const noexcept {
  for (const Piece& p : pieces) {
    std::memcpy(workspace.buffer<uint8_t>(p.buffer) + p.to, kept_.data() + p.kept, p.bytes);
  }
}

void Trunk::run(uint8_t* arena, const float* features, bool continues) noexcept {
  const Workspace ws = model_.workspace(arena);
  std::memcpy(ws.buffer<float>(0), features, model_.input().bytes());
  for (const Step& step : steps_) {
    if (continues && !step.moved.empty()) {
      const RowOp* op = step.op->as_row_op();
      // Rows of a residual that is written in place are read before others are put there.
      op->run_rows(ws, 0, step.unchanged.first);
      op->run_rows(ws, step.unchanged.last, op->rows().out);
      put_back(ws, step.moved);
    } else {
      step.op->run(ws);
    }
    keep(ws, step.moved);
  }
  keep(ws, carried_);
}

void Trunk::finish(uint8_t* arena, size_t depth, bool again, float* logits) const noexcept {
  const Workspace ws = model_.workspace(arena);
  if (again) put_back(ws, carried_);
  model_.run_layers(ws, steps_.size(), depth, logits);
}

}  // namespace bifast
