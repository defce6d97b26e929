// What the files of the Python extension share: arrays, errors, and the model with its sessions.
#ifndef BIFAST_BINDINGS_H_
#define BIFAST_BINDINGS_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bifast.h"

namespace bifast_bindings {

namespace py = pybind11;

// Arrays must come as they are needed: the Python layer converts what may be converted, in sight of
// the user.
template <typename T>
using Array = py::array_t<T, py::array::c_style>;

// Raises the Python error that belongs to a status.
[[noreturn]] void raise(bifast_status status, const std::string& text);

inline void check(bifast_status status) {
  if (status != BIFAST_OK) raise(status, bifast_last_error());
}

struct FreeSession {
  void operator()(bifast_session* p) const { bifast_session_free(p); }
};
using SessionHandle = std::unique_ptr<bifast_session, FreeSession>;

inline std::vector<std::string> names(const char* (*at)(const bifast_model*, size_t),
                                      const bifast_model* model) {
  std::vector<std::string> all;
  for (size_t i = 0; at(model, i) != nullptr; ++i) all.emplace_back(at(model, i));
  return all;
}

inline std::vector<std::string> names(const char* (*at)(size_t)) {
  std::vector<std::string> all;
  for (size_t i = 0; at(i) != nullptr; ++i) all.emplace_back(at(i));
  return all;
}

inline const char* or_null(const std::optional<std::string>& text) {
  return text ? text->c_str() : nullptr;
}

// An input array by its dtype: exactly float32 or int16.
template <typename Function>
auto with_samples(const py::array& x, Function&& function) {
  if (!(x.flags() & py::array::c_style))
    throw py::value_error("samples: expected a C-contiguous array");
  if (py::isinstance<py::array_t<float>>(x)) return function(static_cast<const float*>(x.data()));
  if (py::isinstance<py::array_t<int16_t>>(x))
    return function(static_cast<const int16_t*>(x.data()));
  throw py::value_error("samples: expected float32 or int16");
}

// A model, and a few idle sessions of it; the GIL guards their list.
class Model {
 public:
  Model(const py::bytes& data, const std::optional<std::string>& isa);

  const bifast_model* get() const { return model_.get(); }
  size_t n_classes() const { return bifast_n_classes(get()); }
  std::tuple<size_t, size_t, size_t> input_shape() const;

  // (label, (threshold, smoothing, refractory)) of each word.
  py::list words() const;

  Array<float> run(const py::array& x, size_t depth, size_t threads);
  Array<float> run_features(const Array<float>& f, size_t depth, size_t threads);
  Array<float> run_bytes(const Array<uint8_t>& x, size_t depth, size_t threads);
  Array<float> features(const py::array& x);
  std::pair<Array<float>, py::list> trace(const Array<float>& f, size_t depth);

  SessionHandle take_session();
  // A batch on many threads does not leave their memory behind.
  void keep_session(SessionHandle session);

 private:
  struct FreeModel {
    void operator()(bifast_model* p) const { bifast_free(p); }
  };

  // Calls run(session, values, count, logits) for each array [T, M, C] of a batch.
  template <typename Value, typename Run>
  Array<float> run_arrays(const Array<Value>& x, size_t threads, const Run& run);
  // Calls function(session, i) for i < n, on up to `threads` threads, without the GIL.
  template <typename Function>
  void run_batch(size_t n, size_t threads, const Function& function);

  std::unique_ptr<bifast_model, FreeModel> model_;
  std::vector<SessionHandle> sessions_;  // freed before the model
};

// Each adds its class to the module.
void bind_model(py::module_& m);
void bind_stream(py::module_& m);

}  // namespace bifast_bindings

#endif  // BIFAST_BINDINGS_H_
