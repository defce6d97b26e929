// The layers that all depths of a model share, run once for each window of a stream.
//
// The trunk ends where the first layer comes that some depth leaves out. A window that begins a hop
// after the one before computes only those rows (time) of the trunk that differ: the others are
// moved there. A row differs where it sees a new frame, or the padding at either end of the window.
#ifndef BIFAST_TRUNK_H_
#define BIFAST_TRUNK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model.h"

namespace bifast {

class Trunk {
 public:
  // Windows `step` frames apart; again: a window may run at more than one depth. Allocates all that
  // it will need.
  Trunk(const Model& model, int64_t step, bool again);

  // Model::work of a window that continues.
  uint64_t work() const { return work_; }
  // Runs the trunk on the features of a window. continues: the last call was for the window that
  // begins `step` frames earlier. arena: as Model::run_features.
  void run(uint8_t* arena, const float* features, bool continues) noexcept;
  // Runs the layers after it at a depth; again: after another depth of the same window.
  void finish(uint8_t* arena, size_t depth, bool again, float* logits) const noexcept;

 private:
  // Rows first .. last - 1 of what a layer writes are those that the window before has `shift` rows
  // later; `first == last`: none are.
  struct Rows {
    size_t first = 0, last = 0, shift = 0;
  };
  // Bytes of a buffer that are kept from `from` on, to be put back from `to` on.
  struct Piece {
    uint32_t buffer;
    size_t from, to, bytes, kept;
  };
  struct Step {
    const Op* op;
    Rows unchanged;
    std::vector<Piece> moved;
  };

  static Rows unchanged_rows(const Model::Layer& layer, const std::vector<Rows>& of_buffer);
  void plan_step(const Model::Layer& layer, const Rows& unchanged);
  void plan_carried();
  Piece piece(uint32_t buffer, size_t from, size_t to, size_t bytes);
  void keep(const Workspace& workspace, const std::vector<Piece>& pieces) noexcept;
  void put_back(const Workspace& workspace, const std::vector<Piece>& pieces) const noexcept;

  const Model& model_;
  std::vector<Step> steps_;
  std::vector<Piece> carried_;  // what later layers read
  size_t n_kept_ = 0;           // bytes of all pieces
  std::vector<uint8_t> kept_;
  uint64_t work_ = 0;
};

}  // namespace bifast

#endif  // BIFAST_TRUNK_H_
