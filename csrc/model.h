// A loaded model: checked, planned, immutable; and the sessions that run it.
#ifndef BIFAST_MODEL_H_
#define BIFAST_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bifast.h"
#include "cascade.h"
#include "format.h"
#include "frontend/frontend.h"
#include "ops/op.h"

namespace bifast {

class Model {
 public:
  // Checks and plans everything; keeps no pointer into `bytes`. Throws Error.
  Model(const uint8_t* bytes, size_t n_bytes, const Kernels& kernels);

  const Kernels& kernels() const { return kernels_; }
  const std::vector<std::string>& labels() const { return labels_; }
  const std::vector<std::string>& depths() const { return depths_; }
  const std::string& card() const { return card_; }
  const std::vector<bifast_word>& words() const { return words_; }
  const std::optional<Frontend>& frontend() const { return frontend_; }
  const BufferSpec& input() const { return buffers_.front(); }
  size_t input_size() const { return input().positions() * input().channels; }
  size_t arena_bytes() const { return arena_bytes_; }
  // The file's: tells models apart.
  uint32_t checksum() const { return checksum_; }

  // Called after each layer with each buffer that it wrote.
  using Observer = std::function<void(const bifast_layer_output&)>;

  // arena: arena_bytes(), 64-byte aligned, zero before its first use. features: [input_size()],
  // whole numbers 0 .. 255 where the input is bytes.
  // logits: [labels().size()].
  void run_features(uint8_t* arena, size_t depth, const float* features, float* logits,
                    const Observer* observer = nullptr) const;
  // image: [input_size()]; needs an input of bytes.
  void run_bytes(uint8_t* arena, size_t depth, const uint8_t* image, float* logits) const noexcept;
  template <typename Sample>
  void run_clip(uint8_t* arena, size_t depth, const Sample* samples, size_t n_samples,
                float* logits) const noexcept;
  // features: frontend()->n_frames(n_samples) rows. Needs a front-end.
  template <typename Sample>
  void run_frontend(uint8_t* arena, const Sample* samples, size_t n_samples,
                    float* features) const noexcept;
  // As Frontend::run_frames.
  void run_frames(uint8_t* arena, const float* samples, size_t count,
                  float* features) const noexcept;

  // For whoever runs layers itself (trunk.h): they, their buffers, and where these lie in an arena.
  struct Layer {
    std::string name;
    uint32_t depth_mask;
    uint32_t input, residual, out_f32, out_bits;
    std::unique_ptr<Op> op;
    // Rows of the next layer that are computed at once, and what they read of this one before: so
    // that what lies between the two stays in the second cache. 0: all of this layer, then the
    // next.
    size_t band = 0;

    bool runs_at(size_t depth) const { return (depth_mask >> depth & 1) != 0; }
  };
  const std::vector<Layer>& layers() const { return layers_; }
  const std::vector<BufferSpec>& buffers() const { return buffers_; }
  Workspace workspace(uint8_t* arena) const {
    return {arena, offsets_.data(), arena + scratch_offset_};
  }
  // Runs the layers of a depth from layer `first` on and takes out the logits. Throws what the
  // observer throws.
  void run_layers(const Workspace& workspace, size_t first, size_t depth, float* logits,
                  const Observer* observer = nullptr) const;
  // Leading layers that run at every depth.
  size_t n_shared_layers() const;
  // Multiply-adds of +-1 of a layer, of the shared layers, and of those that a depth adds to them;
  // one of floats counts as sixteen.
  uint64_t work(const Layer& layer) const;
  uint64_t shared_work() const;
  uint64_t own_work(size_t depth) const;
  // The cascade of the file; none: std::nullopt.
  const std::optional<Cascade>& cascade() const { return cascade_; }

 private:
  void build_layers(const ModelFile& file);
  void check_flow(const ModelFile& file) const;
  void plan_bands();
  void plan_arena(const ModelFile& file);
  void read_cascade(const ModelFile& file);
  void run_band(const Workspace& workspace, const Layer& layer, const Layer& next) const noexcept;
  void observe(const Workspace& workspace, const Layer& layer, const Observer& observer) const;

  const Kernels& kernels_;
  std::optional<Frontend> frontend_;
  std::vector<std::string> labels_, depths_;
  std::string card_;
  std::vector<bifast_word> words_;
  std::optional<Cascade> cascade_;
  std::vector<BufferSpec> buffers_;
  std::vector<Layer> layers_;
  std::vector<size_t> offsets_;  // of the buffers in the arena
  size_t scratch_offset_ = 0, arena_bytes_ = 0;
  uint32_t checksum_ = 0;
};

}  // namespace bifast

#endif  // BIFAST_MODEL_H_
