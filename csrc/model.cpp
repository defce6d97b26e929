// Loading plans one arena for all depths; running walks the layers of one depth.
#include "model.h"

#include <algorithm>
#include <cstring>

#include "align.h"
#include "error.h"
#include "ops/geometry.h"

namespace bifast {
namespace {

// Vector kernels may read a word past the last row.
constexpr size_t kSlackBytes = 64;
constexpr uint64_t kMaxBufferBytes = uint64_t{256} << 20;
// What lies between two layers whose rows are computed in turn.
constexpr size_t kBandBytes = size_t{384} << 10;
constexpr uint64_t kMaxArenaBytes = uint64_t{512} << 20;
// A multiply-add of floats costs about as much as so many of +-1.
constexpr uint64_t kFloatWork = 16;

// The layers between which a buffer holds something; the input is held from before the first layer,
// the output until after the last.
struct Lifetime {
  size_t first = SIZE_MAX, last = 0;

  void touch(size_t step) {
    first = std::min(first, step);
    last = std::max(last, step);
  }
  bool used() const { return first != SIZE_MAX; }
  bool meets(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

struct Placed {
  size_t offset, bytes;
  Lifetime lifetime;
};

// Lowest offset at which `bytes` fit beside everything alive at the same time.
size_t lowest_offset(std::vector<Placed>& placed, size_t bytes, const Lifetime& lifetime) {
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return a.offset < b.offset; });
  size_t at = 0;
  for (const Placed& p : placed) {
    if (!p.lifetime.meets(lifetime) || p.offset + p.bytes <= at) continue;
    if (p.offset >= at + bytes) break;
    at = p.offset + p.bytes;
  }
  return at;
}

}  // namespace

Model::Model(const uint8_t* bytes, size_t n_bytes, const Kernels& kernels) : kernels_(kernels) {
  ModelFile file = read_model_file(bytes, n_bytes);
  buffers_ = file.buffers;
  uint64_t buffer_bytes = 0;
  for (const BufferSpec& b : buffers_) buffer_bytes += b.bytes();
  if (buffer_bytes > kMaxBufferBytes) fail_format("buffers of more than 256 MiB");
  if (input().is_bits) fail_format("buffer 0 holds neither floats nor bytes");
  const BufferSpec& last = buffers_.back();
  if (!last.is_floats() || last.positions() != 1 || last.channels != file.labels.size()) {
    fail_format("the last buffer must hold one float for each of the labels");
  }
  if (file.frontend) {
    try {
      frontend_.emplace(*file.frontend, kernels_);
    } catch (const Error& e) {
      fail_format(e.what());
    }
    const size_t frames = frontend_->n_frames(0);
    if (!input().is_floats() || input().height != frames ||
        input().width != file.frontend->n_mels || input().channels != 1) {
      fail_format("buffer 0 is not what the front-end makes");
    }
  }
  check_flow(file);
  build_layers(file);
  plan_bands();
  plan_arena(file);
  read_cascade(file);
  labels_ = std::move(file.labels);
  depths_ = std::move(file.depths);
  card_ = std::move(file.card);
  words_ = std::move(file.words);
  checksum_ = file.checksum;
}

// At every depth a layer reads only what an earlier layer of that depth wrote.
void Model::check_flow(const ModelFile& file) const {
  for (size_t depth = 0; depth < file.depths.size(); ++depth) {
    std::vector<bool> written(buffers_.size(), false);
    written[0] = true;
    for (const OpSpec& op : file.ops) {
      if ((op.depth_mask >> depth & 1) == 0) continue;
      for (const uint32_t id : {op.input, op.residual}) {
        if (id != kNone && !written[id]) {
          fail_format(op.name + ": reads a buffer that nothing wrote at depth " +
                      file.depths[depth]);
        }
      }
      for (const uint32_t id : {op.out_f32, op.out_bits}) {
        if (id != kNone) written[id] = true;
      }
    }
    if (!written.back()) fail_format("depth " + file.depths[depth] + " writes no output");
  }
}

void Model::build_layers(const ModelFile& file) {
  uint64_t work = 0;
  size_t table_bytes = 0;
  PanelCache panels;
  for (const OpSpec& spec : file.ops) {
    if (spec.input == kNone) fail_format(spec.name + ": has no input");
    layers_.push_back({spec.name, spec.depth_mask, spec.input, spec.residual, spec.out_f32,
                       spec.out_bits, make_op({file, spec, kernels_, table_bytes, panels}), 0});
    work += layers_.back().op->work();
    if (work > kMaxWork) fail_format("more than 2^34 multiply-adds in one run");
  }
}

void Model::read_cascade(const ModelFile& file) {
  if (file.cascade.empty()) return;
  std::vector<Cascade::Level> levels;
  for (size_t depth = file.cascade.size(); depth-- > 0;) {
    const LevelSpec& level = file.cascade[depth];
    if (level.used) levels.push_back({depth, level.word, level.other});
  }
  std::vector<uint8_t> is_word(file.labels.size(), 1);
  for (size_t i = 0; i < file.words.size(); ++i) is_word[i] = file.words[i].threshold > 0.0;
  cascade_.emplace(std::move(levels), std::move(is_word));
}

size_t Model::n_shared_layers() const {
  const auto all = static_cast<uint32_t>((uint64_t{1} << depths_.size()) - 1);
  size_t n = 0;
  while (n < layers_.size() && layers_[n].depth_mask == all) ++n;
  return n;
}

uint64_t Model::work(const Layer& layer) const {
  return layer.op->work() * (buffers_[layer.input].is_floats() ? kFloatWork : 1);
}

uint64_t Model::shared_work() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < n_shared_layers(); ++i) sum += work(layers_[i]);
  return sum;
}

uint64_t Model::own_work(size_t depth) const {
  uint64_t sum = 0;
  for (size_t i = n_shared_layers(); i < layers_.size(); ++i) {
    if (layers_[i].runs_at(depth)) sum += work(layers_[i]);
  }
  return sum;
}

void Model::plan_bands() {
  for (size_t i = 0; i + 1 < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const Layer& next = layers_[i + 1];
    const uint32_t between = layer.out_f32;
    if (between == kNone || layer.out_bits != kNone || next.input != between ||
        next.depth_mask != layer.depth_mask || layer.op->as_row_op() == nullptr ||
        next.op->as_row_op() == nullptr || buffers_[between].bytes() <= kBandBytes ||
        between + 1 == buffers_.size()) {
      continue;
    }
    const auto users = std::count_if(layers_.begin(), layers_.end(), [&](const Layer& other) {
      return other.input == between || other.residual == between || other.out_f32 == between;
    });
    const Axis& axis = next.op->as_row_op()->rows();
    const bool reads = std::all_of(axis.classes.begin(), axis.classes.end(),
                                   [](const Axis::Taps& taps) { return taps.first < taps.last; });
    if (users != 2 || !reads || (i > 0 && layers_[i - 1].band != 0)) continue;
    const BufferSpec& b = buffers_[between];
    const size_t fit = kBandBytes / (b.bytes() / b.height);
    const size_t taken = (axis.kernel - 1) * axis.dilation + 1;
    layer.band = fit > taken ? (fit - taken) / axis.stride + 1 : 1;
  }
}

void Model::plan_arena(const ModelFile& file) {
  std::vector<Lifetime> lifetimes(buffers_.size());
  lifetimes.front().touch(0);
  lifetimes.back().touch(file.ops.size() + 1);
  for (size_t step = 0; step < file.ops.size(); ++step) {
    const OpSpec& op = file.ops[step];
    for (const uint32_t id : {op.input, op.residual, op.out_f32, op.out_bits}) {
      if (id == kNone) continue;
      lifetimes[id].touch(step + 1);
      if (layers_[step].band != 0) lifetimes[id].touch(step + 2);  // its rows come with the next's
    }
  }
  std::vector<Placed> placed;
  offsets_.assign(buffers_.size(), 0);
  size_t buffers_end = 0;
  for (size_t id = 0; id < buffers_.size(); ++id) {  // the input first: at offset 0
    if (!lifetimes[id].used()) continue;
    const size_t bytes = align(buffers_[id].bytes());
    offsets_[id] = lowest_offset(placed, bytes, lifetimes[id]);
    placed.push_back({offsets_[id], bytes, lifetimes[id]});
    buffers_end = std::max(buffers_end, offsets_[id] + bytes);
  }
  size_t scratch = 0;
  for (const Layer& layer : layers_) scratch = std::max(scratch, layer.op->scratch_bytes());
  scratch_offset_ = align(buffers_end + kSlackBytes);
  arena_bytes_ = align(scratch_offset_ + scratch);
  // The front-end is done before the first layer runs: its scratch may lie over all but the input.
  if (frontend_) {
    arena_bytes_ = std::max(arena_bytes_, align(input().bytes()) + frontend_->scratch_bytes());
  }
  if (arena_bytes_ > kMaxArenaBytes) fail_format("one run needs more than 512 MiB");
}

void Model::run_features(uint8_t* arena, size_t depth, const float* features, float* logits,
                         const Observer* observer) const {
  const Workspace ws = workspace(arena);
  if (input().is_bytes) {
    std::transform(features, features + input_size(), ws.buffer<uint8_t>(0),
                   [](float x) { return static_cast<uint8_t>(x); });
  } else {
    std::memcpy(ws.buffer<float>(0), features, input().bytes());
  }
  run_layers(ws, 0, depth, logits, observer);
}

void Model::run_bytes(uint8_t* arena, size_t depth, const uint8_t* image,
                      float* logits) const noexcept {
  const Workspace ws = workspace(arena);
  std::memcpy(ws.buffer<uint8_t>(0), image, input().bytes());
  run_layers(ws, 0, depth, logits);
}

template <typename Sample>
void Model::run_clip(uint8_t* arena, size_t depth, const Sample* samples, size_t n_samples,
                     float* logits) const noexcept {
  const Workspace ws = workspace(arena);
  run_frontend(arena, samples, n_samples, ws.buffer<float>(0));
  run_layers(ws, 0, depth, logits);
}

template <typename Sample>
void Model::run_frontend(uint8_t* arena, const Sample* samples, size_t n_samples,
                         float* features) const noexcept {
  frontend_->run(samples, n_samples, features, arena + align(input().bytes()));
}

void Model::run_frames(uint8_t* arena, const float* samples, size_t count,
                       float* features) const noexcept {
  frontend_->run_frames(samples, count, features, arena + align(input().bytes()));
}

template void Model::run_clip(uint8_t*, size_t, const float*, size_t, float*) const noexcept;
template void Model::run_clip(uint8_t*, size_t, const int16_t*, size_t, float*) const noexcept;
template void Model::run_frontend(uint8_t*, const float*, size_t, float*) const noexcept;
template void Model::run_frontend(uint8_t*, const int16_t*, size_t, float*) const noexcept;

void Model::run_layers(const Workspace& ws, size_t first, size_t depth, float* logits,
                       const Observer* observer) const {
  for (size_t i = first; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    if (!layer.runs_at(depth)) continue;
    if (layer.band != 0 && observer == nullptr) {
      run_band(ws, layer, layers_[++i]);
      continue;
    }
    layer.op->run(ws);
    if (observer != nullptr) observe(ws, layer, *observer);
  }
  std::memcpy(logits, ws.arena + offsets_.back(), buffers_.back().bytes());
}

// The rows between the two lie at the end of their buffer, in the same place for every band; those
// that two bands read are computed twice.
void Model::run_band(const Workspace& ws, const Layer& layer, const Layer& next) const noexcept {
  const RowOp &above = *layer.op->as_row_op(), &below = *next.op->as_row_op();
  const Axis& axis = below.rows();
  const BufferSpec& between = buffers_[layer.out_f32];
  Workspace moved = ws;
  moved.moved = layer.out_f32;
  for (size_t first = 0; first < axis.out; first += layer.band) {
    const size_t last = std::min(axis.out, first + layer.band);
    const size_t from = axis.input_of(first, axis.classes[axis.class_of[first]].first);
    const size_t to = axis.input_of(last - 1, axis.classes[axis.class_of[last - 1]].last - 1) + 1;
    moved.moved_bytes = (between.height - to) * (between.bytes() / between.height);
    above.run_rows(moved, from, to);
    below.run_rows(moved, first, last);
  }
}

void Model::observe(const Workspace& ws, const Layer& layer, const Observer& observer) const {
  for (const uint32_t id : {layer.out_f32, layer.out_bits}) {
    if (id == kNone) continue;
    const BufferSpec& b = buffers_[id];
    for (size_t plane = 0; plane < b.planes; ++plane) {
      observer({layer.name.c_str(),
                b.is_bits ? 1 : 0,
                b.is_bytes ? 1 : 0,
                {b.height, b.width, b.channels},
                b.row_bytes(),
                ws.buffer<uint8_t>(id) + plane * b.plane_bytes()});
    }
  }
}

}  // namespace bifast
