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

// What the arguments of a call usually are, and are compared with: made once.
struct UsualCall {
  explicit UsualCall(const bifast_model* model);

  // Of a name, where one thread is asked for.
  std::optional<size_t> depth_index(py::handle depth, py::handle threads) const;
  // A C-contiguous array of no subclass.
  std::optional<py::array> array(py::handle x) const;
  // Whether the shape is that of a clip, or of features or an image.
  bool is_clip(const py::array& x) const;
  bool is_input(const py::array& x) const;

  py::object ndarray, float32, int16, uint8;
  std::vector<py::str> depths;
  size_t window;  // 0: takes no audio
  size_t shape[3];
};

// A model, and a few idle sessions of it; the GIL guards their list.
class Model {
 public:
  Model(const py::bytes& data, const std::optional<std::string>& isa);

  const bifast_model* get() const { return model_.get(); }
  size_t n_classes() const { return bifast_n_classes(get()); }
  std::tuple<size_t, size_t, size_t> input_shape() const;

  // (label, (threshold, smoothing, refractory)) of each word.
  py::list words() const;

  // Of the layers that all depths share, and of those that each depth adds to them.
  std::pair<uint64_t, std::vector<uint64_t>> work() const;

  // One clip or image, or the features of one: logits, or None where an argument is unusual
  // (one_clip.cpp).
  py::object run_one(py::handle x, py::handle depth, py::handle threads);
  py::object run_features_one(py::handle f, py::handle depth, py::handle threads);

  Array<float> run(const py::array& x, size_t depth, size_t threads);
  Array<float> run_features(const Array<float>& f, size_t depth, size_t threads);
  Array<float> run_bytes(const Array<uint8_t>& x, size_t depth, size_t threads);
  Array<float> features(const py::array& x);
  std::pair<Array<float>, py::list> trace(const Array<float>& f, size_t depth);

  // Calls function(session) without the GIL and raises the error of its status.
  template <typename Function>
  void with_session(const Function& function) {
    SessionHandle session = take_session();
    bifast_status status;
    {
      const py::gil_scoped_release release;
      status = function(session.get());
    }
    keep_session(std::move(session));
    check(status);
  }

 private:
  struct FreeModel {
    void operator()(bifast_model* p) const { bifast_free(p); }
  };

  // Calls run(session, values, count, logits) for each array [T, M, C] of a batch.
  template <typename Value, typename Run>
  Array<float> run_arrays(const Array<Value>& x, size_t threads, const Run& run);
  // The logits that run(session, logits, n_classes) writes.
  template <typename Run>
  py::object logits_of(const Run& run);
  SessionHandle take_session();
  // A batch on many threads does not leave their memory behind.
  void keep_session(SessionHandle session);
  // Calls function(session, i) for i < n, on up to `threads` threads, without the GIL.
  template <typename Function>
  void run_batch(size_t n, size_t threads, const Function& function);

  std::unique_ptr<bifast_model, FreeModel> model_;
  UsualCall usual_;
  std::vector<SessionHandle> sessions_;  // freed before the model
};

// Each adds its class to the module.
void bind_model(py::module_& m);
void bind_stream(py::module_& m);

}  // namespace bifast_bindings

#endif  // BIFAST_BINDINGS_H_
