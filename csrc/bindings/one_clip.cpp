// One clip or image in an array that is just as the model takes it: the short way to its logits.
//
// None says that it is not: the Python layer then converts it, cuts a batch, or says what is wrong.
#include "bindings.h"

namespace bifast_bindings {
namespace {

// The values of an array of exactly this dtype, else null.
template <typename Value>
const Value* values_of(const py::array& x, const py::object& dtype) {
  return x.dtype().is(dtype) ? static_cast<const Value*>(x.data()) : nullptr;
}

}  // namespace

UsualCall::UsualCall(const bifast_model* model)
    : ndarray(py::module_::import("numpy").attr("ndarray")),
      float32(py::dtype::of<float>()),
      int16(py::dtype::of<int16_t>()),
      uint8(py::dtype::of<uint8_t>()),
      window(bifast_window_samples(model)) {
  for (const std::string& name : names(bifast_depth_name, model)) depths.emplace_back(name);
  bifast_input_shape(model, shape);
}

std::optional<size_t> UsualCall::depth_index(py::handle depth, py::handle threads) const {
  int overflow = 0;
  if (!PyLong_CheckExact(threads.ptr()) ||
      PyLong_AsLongAndOverflow(threads.ptr(), &overflow) != 1 ||
      !PyUnicode_CheckExact(depth.ptr())) {
    return {};
  }
  for (size_t i = 0; i < depths.size(); ++i) {
    if (PyUnicode_Compare(depth.ptr(), depths[i].ptr()) == 0) return i;
  }
  return {};
}

std::optional<py::array> UsualCall::array(py::handle x) const {
  if (!py::type::handle_of(x).is(ndarray)) return {};
  auto array = py::reinterpret_borrow<py::array>(x);
  if (!(array.flags() & py::array::c_style)) return {};
  return array;
}

bool UsualCall::is_clip(const py::array& x) const {
  return x.ndim() == 1 && x.shape(0) > 0 && static_cast<size_t>(x.shape(0)) <= window;
}

bool UsualCall::is_input(const py::array& x) const {
  const py::ssize_t rank = shape[2] == 1 && x.ndim() == 2 ? 2 : 3;
  if (x.ndim() != rank) return false;
  for (py::ssize_t i = 0; i < rank; ++i) {
    if (static_cast<size_t>(x.shape(i)) != shape[i]) return false;
  }
  return true;
}

template <typename Run>
py::object Model::logits_of(const Run& run) {
  Array<float> logits(static_cast<py::ssize_t>(n_classes()));
  float* y = logits.mutable_data();
  with_session([&](bifast_session* session) { return run(session, y, n_classes()); });
  return logits;
}

py::object Model::run_one(py::handle x, py::handle depth, py::handle threads) {
  if (usual_.window == 0 && bifast_takes_bytes(get()) == 0) {
    return run_features_one(x, depth, threads);
  }
  const auto index = usual_.depth_index(depth, threads);
  const auto array = usual_.array(x);
  if (!index || !array) return py::none();
  const auto n = static_cast<size_t>(array->size());
  if (usual_.window == 0) {
    const auto* u = values_of<uint8_t>(*array, usual_.uint8);
    if (u == nullptr || !usual_.is_input(*array)) return py::none();
    return logits_of([=](bifast_session* s, float* y, size_t n_y) {
      return bifast_run_bytes(s, *index, u, n, y, n_y);
    });
  }
  if (!usual_.is_clip(*array)) return py::none();
  if (const auto* f = values_of<float>(*array, usual_.float32)) {
    return logits_of([=](bifast_session* s, float* y, size_t n_y) {
      return bifast_run(s, *index, f, n, y, n_y);
    });
  }
  if (const auto* i = values_of<int16_t>(*array, usual_.int16)) {
    return logits_of([=](bifast_session* s, float* y, size_t n_y) {
      return bifast_run_i16(s, *index, i, n, y, n_y);
    });
  }
  return py::none();
}

py::object Model::run_features_one(py::handle f, py::handle depth, py::handle threads) {
  const auto index = usual_.depth_index(depth, threads);
  const auto array = usual_.array(f);
  if (!index || !array || !usual_.is_input(*array)) return py::none();
  const auto* x = values_of<float>(*array, usual_.float32);
  if (x == nullptr) return py::none();
  const auto n = static_cast<size_t>(array->size());
  return logits_of([=](bifast_session* s, float* y, size_t n_y) {
    return bifast_run_features(s, *index, x, n, y, n_y);
  });
}

}  // namespace bifast_bindings
