// A layer of the plan: built and checked once at load, then run without allocation, lock or
// exception.
//
// A new kind of layer is one file here with a `make_<name>` function and one line in ops.inc.
#ifndef BIFAST_OPS_OP_H_
#define BIFAST_OPS_OP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "format.h"
#include "kernels/kernels.h"
#include "ops/panel.h"

namespace bifast {

// A small file can ask for much: layers share tensors, and tables are made for each.
inline constexpr uint64_t kMaxWork = uint64_t{1} << 34;
inline constexpr size_t kMaxTableBytes = size_t{1} << 30;

// Where the activations of one session lie.
struct Workspace {
  uint8_t* arena;
  const size_t* buffer_offsets;
  uint8_t* scratch;        // 64-byte aligned, as large as the hungriest layer asks
  uint32_t moved = kNone;  // a buffer of which some rows lie further on, so many bytes
  size_t moved_bytes = 0;

  template <typename T>
  T* buffer(uint32_t id) const {
    return reinterpret_cast<T*>(arena + buffer_offsets[id] + (id == moved ? moved_bytes : 0));
  }
};

// What a layer is built from. The bytes behind the file go away after loading.
struct OpInput {
  const ModelFile& file;
  const OpSpec& spec;
  const Kernels& kernels;
  size_t& table_bytes;  // of all layers so far
  PanelCache& panels;

  const BufferSpec& input() const { return file.buffers[spec.input]; }
  // The shape of what the layer writes.
  const BufferSpec& output() const;
  // Stops with the layer's name.
  [[noreturn]] void refuse(const std::string& why) const;
  void require(bool ok, const char* why) const {
    if (!ok) refuse(why);
  }
  // Stops a layer of more than kMaxWork multiply-adds before anything is made for it.
  void check_work(uint64_t work) const {
    require(work <= kMaxWork, "more than 2^34 multiply-adds");
  }
  // Counts tables that the layer is about to make.
  void claim(size_t n_bytes) const {
    require(n_bytes <= kMaxTableBytes - table_bytes, "the layers need more than 1 GiB of tables");
    table_bytes += n_bytes;
  }
  // Stops a layer on floats that reads bits, or has the thresholds of a binary layer.
  void require_floats() const;
  // Stops where weights are given to a layer that has none.
  void require_no_tensor_of_weights() const { require(spec.weights == kNone, "has weights"); }
  // Stops where weights, kernel, stride, pad or dilation are given to a layer that has none.
  void require_no_weights() const;
  // A tensor of rows by cols (cols == 0: any), widened to float or int32.
  const TensorSpec& tensor(uint32_t id, const char* role, size_t rows, size_t cols) const;
  std::vector<float> floats(uint32_t id, const char* role, size_t rows, size_t cols) const;
  std::vector<int32_t> integers(uint32_t id, const char* role, size_t rows, size_t cols) const;
  const TensorSpec& bits(uint32_t id, const char* role, size_t rows, size_t cols) const;
};

class RowOp;

class Op {
 public:
  virtual ~Op() = default;
  virtual void run(const Workspace& workspace) const noexcept = 0;
  virtual size_t scratch_bytes() const { return 0; }
  // Multiply-adds of one run.
  virtual uint64_t work() const = 0;
  // Itself, if it computes rows one by one.
  virtual const RowOp* as_row_op() const { return nullptr; }
};

struct Axis;

// A layer that computes each row (time) of its output from some rows of its input.
class RowOp : public Op {
 public:
  void run(const Workspace& workspace) const noexcept final { run_rows(workspace, 0, n_rows()); }
  const RowOp* as_row_op() const final { return this; }
  virtual void run_rows(const Workspace& workspace, size_t first, size_t last) const noexcept = 0;
  // Which rows of the input a row reads.
  virtual const Axis& rows() const = 0;

 private:
  size_t n_rows() const;
};

// Builds the layer that spec.code names; throws Error(BIFAST_UNSUPPORTED) for an unknown code.
std::unique_ptr<Op> make_op(const OpInput& input);

#define BIFAST_OP(code, name) std::unique_ptr<Op> make_##name(const OpInput& input);
#include "ops/ops.inc"
#undef BIFAST_OP

}  // namespace bifast

#endif  // BIFAST_OPS_OP_H_
