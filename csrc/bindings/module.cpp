// The Python extension: a thin layer over bifast.h that checks arrays, releases the GIL, and maps
// errors.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "bifast.h"

namespace py = pybind11;

namespace {

// Arrays must come as they are needed: the Python layer converts what may be converted, in sight of
// the user.
template <typename T>
using Array = py::array_t<T, py::array::c_style>;

[[noreturn]] void raise(bifast_status status, const std::string& text) {
  const auto typed = [&](const char* name) {
    py::set_error(py::module_::import("bifast.errors").attr(name), text.c_str());
    throw py::error_already_set();
  };
  switch (status) {
    case BIFAST_INVALID_ARGUMENT:
      throw py::value_error(text);
    case BIFAST_BAD_FORMAT:
      typed("FormatError");
      break;
    case BIFAST_UNSUPPORTED:
      typed("UnsupportedError");
      break;
    case BIFAST_IO:
      py::set_error(PyExc_OSError, text.c_str());
      throw py::error_already_set();
    case BIFAST_NO_MEMORY:
      py::set_error(PyExc_MemoryError, text.c_str());
      throw py::error_already_set();
    default:
      break;
  }
  throw std::runtime_error(text);
}

void check(bifast_status status) {
  if (status != BIFAST_OK) raise(status, bifast_last_error());
}

struct FreeModel {
  void operator()(bifast_model* p) const { bifast_free(p); }
};
struct FreeSession {
  void operator()(bifast_session* p) const { bifast_session_free(p); }
};
struct FreeFrontend {
  void operator()(bifast_frontend* p) const { bifast_frontend_free(p); }
};
struct FreeStream {
  void operator()(bifast_stream* p) const { bifast_stream_free(p); }
};
using SessionHandle = std::unique_ptr<bifast_session, FreeSession>;

std::vector<std::string> names(const char* (*at)(const bifast_model*, size_t),
                               const bifast_model* model) {
  std::vector<std::string> all;
  for (size_t i = 0; at(model, i) != nullptr; ++i) all.emplace_back(at(model, i));
  return all;
}

std::vector<std::string> names(const char* (*at)(size_t)) {
  std::vector<std::string> all;
  for (size_t i = 0; at(i) != nullptr; ++i) all.emplace_back(at(i));
  return all;
}

const char* or_null(const std::optional<std::string>& text) {
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

bifast_status run_clip(bifast_session* s, size_t depth, const float* x, size_t n, float* y,
                       size_t k) {
  return bifast_run(s, depth, x, n, y, k);
}
bifast_status run_clip(bifast_session* s, size_t depth, const int16_t* x, size_t n, float* y,
                       size_t k) {
  return bifast_run_i16(s, depth, x, n, y, k);
}
bifast_status features_of(bifast_session* s, const float* x, size_t n, float* f, size_t n_f) {
  return bifast_features(s, x, n, f, n_f);
}
bifast_status features_of(bifast_session* s, const int16_t* x, size_t n, float* f, size_t n_f) {
  return bifast_features_i16(s, x, n, f, n_f);
}

bifast_status push_to(bifast_stream* stream, bifast_session* s, const float* x, size_t n,
                      bifast_on_score on_score, void* user) {
  return bifast_stream_push(stream, s, x, n, on_score, user);
}
bifast_status push_to(bifast_stream* stream, bifast_session* s, const int16_t* x, size_t n,
                      bifast_on_score on_score, void* user) {
  return bifast_stream_push_i16(stream, s, x, n, on_score, user);
}

class Model {
 public:
  static constexpr size_t kIdleSessions = 8;

  Model(const py::bytes& data, const std::optional<std::string>& isa) {
    char* bytes = nullptr;
    py::ssize_t n_bytes = 0;
    if (PyBytes_AsStringAndSize(data.ptr(), &bytes, &n_bytes) != 0) throw py::error_already_set();
    bifast_model* model = nullptr;
    check(bifast_load_memory(bytes, static_cast<size_t>(n_bytes), or_null(isa), &model));
    model_.reset(model);
  }

  const bifast_model* get() const { return model_.get(); }
  size_t n_classes() const { return bifast_n_classes(get()); }
  std::tuple<size_t, size_t, size_t> input_shape() const {
    size_t shape[3];
    bifast_input_shape(get(), shape);
    return {shape[0], shape[1], shape[2]};
  }

  Array<float> run(const py::array& x, size_t depth, size_t threads) {
    if (x.ndim() != 2) throw py::value_error("samples: expected [B, S]");
    const auto n_clips = static_cast<size_t>(x.shape(0)),
               n_samples = static_cast<size_t>(x.shape(1));
    Array<float> logits({n_clips, n_classes()});
    float* out = logits.mutable_data();
    with_samples(x, [&](const auto* samples) {
      run_batch(n_clips, threads, [=, this](bifast_session* session, size_t i) {
        return run_clip(session, depth, samples + i * n_samples, n_samples, out + i * n_classes(),
                        n_classes());
      });
    });
    return logits;
  }

  Array<float> run_features(const Array<float>& f, size_t depth, size_t threads) {
    if (f.ndim() != 4) throw py::value_error("features: expected [B, T, M, C]");
    const auto n_clips = static_cast<size_t>(f.shape(0));
    const size_t each = n_clips > 0 ? static_cast<size_t>(f.size()) / n_clips : 0;
    Array<float> logits({n_clips, n_classes()});
    float* out = logits.mutable_data();
    const float* features = f.data();
    run_batch(n_clips, threads, [=, this](bifast_session* session, size_t i) {
      return bifast_run_features(session, depth, features + i * each, each, out + i * n_classes(),
                                 n_classes());
    });
    return logits;
  }

  Array<float> features(const py::array& x) {
    if (x.ndim() != 1) throw py::value_error("samples: expected [S]");
    const auto n_samples = static_cast<size_t>(x.shape(0));
    const size_t n_frames = bifast_n_frames(get(), n_samples), n_mels = std::get<1>(input_shape());
    Array<float> out({n_frames, n_mels});
    float* f = out.mutable_data();
    with_samples(x, [&](const auto* samples) {
      run_batch(1, 1, [=](bifast_session* session, size_t) {
        return features_of(session, samples, n_samples, f, n_frames * n_mels);
      });
    });
    return out;
  }

  std::pair<Array<float>, py::list> trace(const Array<float>& f, size_t depth) {
    py::list layers;
    Array<float> logits(static_cast<py::ssize_t>(n_classes()));
    SessionHandle session = take_session();
    const bifast_status status =
        bifast_trace(session.get(), depth, f.data(), static_cast<size_t>(f.size()),
                     logits.mutable_data(), n_classes(), append_layer, &layers);
    check(status);
    keep_session(std::move(session));
    return {std::move(logits), std::move(layers)};
  }

  // A few idle sessions are kept; the GIL guards the list.
  SessionHandle take_session() {
    if (!sessions_.empty()) {
      SessionHandle session = std::move(sessions_.back());
      sessions_.pop_back();
      return session;
    }
    bifast_session* session = nullptr;
    check(bifast_session_new(get(), &session));
    return SessionHandle(session);
  }

  // A batch on many threads does not leave their memory behind.
  void keep_session(SessionHandle session) {
    if (sessions_.size() < kIdleSessions) sessions_.push_back(std::move(session));
  }

 private:
  static void append_layer(void* user, const bifast_layer_output* o) {
    const std::vector<size_t> shape(o->shape, o->shape + 3);
    const size_t positions = shape[0] * shape[1], channels = shape[2];
    const auto* rows = static_cast<const uint8_t*>(o->data);
    py::array array;
    if (o->is_bits != 0) {
      Array<uint8_t> bits(shape);
      uint8_t* to = bits.mutable_data();
      for (size_t i = 0; i < positions; ++i) {
        for (size_t c = 0; c < channels; ++c) {
          *to++ = rows[i * o->row_bytes + c / 8] >> (c % 8) & 1;
        }
      }
      array = bits;
    } else {
      array = Array<float>(shape, static_cast<const float*>(o->data));
    }
    static_cast<py::list*>(user)->append(py::make_tuple(o->name, o->is_bits != 0, array));
  }

  // Calls function(session, i) for i < n, on up to `threads` threads, without the GIL.
  template <typename Function>
  void run_batch(size_t n, size_t threads, const Function& function) {
    threads = std::max<size_t>(1, std::min(threads, n));
    std::vector<SessionHandle> sessions;
    for (size_t t = 0; t < threads; ++t) sessions.push_back(take_session());
    std::vector<std::pair<bifast_status, std::string>> errors(threads, {BIFAST_OK, ""});
    const auto part = [&](size_t t) {
      for (size_t i = n * t / threads; i < n * (t + 1) / threads; ++i) {
        const bifast_status status = function(sessions[t].get(), i);
        if (status == BIFAST_OK) continue;
        errors[t] = {status,
                     (n > 1 ? "clip " + std::to_string(i) + ": " : "") + bifast_last_error()};
        return;
      }
    };
    {
      const py::gil_scoped_release release;
      std::vector<std::thread> workers;
      workers.reserve(threads);
      size_t started = 1;
      try {
        for (; started < threads; ++started) workers.emplace_back(part, started);
      } catch (const std::exception&) {
        // No more threads or memory to be had: what is left runs here.
      }
      part(0);
      for (size_t t = started; t < threads; ++t) part(t);
      for (std::thread& worker : workers) worker.join();
    }
    for (SessionHandle& session : sessions) keep_session(std::move(session));
    for (const auto& [status, text] : errors) {
      if (status != BIFAST_OK) raise(status, text);
    }
  }

  std::unique_ptr<bifast_model, FreeModel> model_;
  std::vector<SessionHandle> sessions_;  // freed before the model
};

// Scores as arrays that grow no more, so that collecting them cannot fail.
class Scores {
 public:
  Scores(size_t most, size_t n_classes)
      : starts_(static_cast<py::ssize_t>(most)),
        logits_({most, n_classes}),
        starts_at_(starts_.mutable_data()),
        logits_at_(logits_.mutable_data()) {}

  static void add(void* user, int64_t start, const float* logits, size_t n_classes) {
    auto* self = static_cast<Scores*>(user);
    self->logits_at_ = std::copy_n(logits, n_classes, self->logits_at_);
    self->starts_at_[self->count_++] = start;
  }

  // Starts, [W], and logits, [W, classes]; None where there are none.
  py::object take() const {
    if (count_ == 0) return py::none();
    if (count_ == static_cast<size_t>(starts_.shape(0))) return py::make_tuple(starts_, logits_);
    const py::slice first(0, static_cast<py::ssize_t>(count_), 1);
    return py::make_tuple(starts_[first], logits_[first]);
  }

 private:
  Array<int64_t> starts_;
  Array<float> logits_;
  int64_t* starts_at_;
  float* logits_at_;
  size_t count_ = 0;
};

class Stream {
 public:
  Stream(Model& model, size_t depth, size_t hop_frames) : model_(model) {
    bifast_stream* stream = nullptr;
    check(bifast_stream_new(model.get(), depth, hop_frames, &stream));
    stream_.reset(stream);
  }

  // TypeError where the samples are no such array: the Python layer says what they are.
  py::object push(const py::array& x) {
    if (x.ndim() != 1 || !(x.flags() & py::array::c_style)) throw py::type_error("samples");
    const auto n = static_cast<size_t>(x.shape(0));
    const bool floats = py::isinstance<py::array_t<float>>(x);
    if (!floats && !py::isinstance<py::array_t<int16_t>>(x)) throw py::type_error("samples");
    return run(bifast_stream_n_scores(idle(), n), [&](bifast_session* session, Scores* scores) {
      const void* data = x.data();
      return floats
                 ? push_to(get(), session, static_cast<const float*>(data), n, Scores::add, scores)
                 : push_to(get(), session, static_cast<const int16_t*>(data), n, Scores::add,
                           scores);
    });
  }

  py::object flush() {
    return run(bifast_stream_n_flush_scores(idle()), [&](bifast_session* session, Scores* scores) {
      return bifast_stream_flush(get(), session, Scores::add, scores);
    });
  }

  void reset(int64_t origin) { check(bifast_stream_reset(idle(), origin)); }
  void set_gate(float peak) { check(bifast_stream_set_gate(idle(), peak)); }
  int64_t position() const { return bifast_stream_position(idle()); }
  int64_t n_skipped() const { return bifast_stream_n_skipped(idle()); }

  py::bytes snapshot() const {
    std::string bytes(bifast_stream_snapshot_bytes(idle()), '\0');
    check(bifast_stream_snapshot(get(), bytes.data(), bytes.size()));
    return bytes;
  }

  void restore(const std::string& bytes) {
    check(bifast_stream_restore(idle(), bytes.data(), bytes.size()));
  }

 private:
  bifast_stream* get() const { return stream_.get(); }

  bifast_stream* idle() const {
    if (busy_) throw py::value_error("stream: another thread is pushing to it");
    return get();
  }

  // Calls function(session, scores) without the GIL, on an idle stream.
  template <typename Function>
  py::object run(size_t most, const Function& function) {
    Scores scores(most, model_.n_classes());
    SessionHandle session = model_.take_session();
    bifast_status status;
    busy_ = true;
    {
      const py::gil_scoped_release release;
      status = function(session.get(), &scores);
    }
    busy_ = false;
    model_.keep_session(std::move(session));
    check(status);
    return scores.take();
  }

  Model& model_;
  std::unique_ptr<bifast_stream, FreeStream> stream_;
  bool busy_ = false;  // the GIL guards it
};

class Frontend {
 public:
  Frontend(const bifast_frontend_params& params, const std::optional<std::string>& isa)
      : n_mels_(params.n_mels) {
    bifast_frontend* frontend = nullptr;
    check(bifast_frontend_new(&params, or_null(isa), &frontend));
    frontend_.reset(frontend);
  }

  size_t n_frames(size_t n_samples) const {
    return bifast_frontend_n_frames(frontend_.get(), n_samples);
  }

  // Holds the GIL: the scratch memory serves one call at a time.
  Array<float> run(const py::array& x) {
    if (x.ndim() != 1) throw py::value_error("samples: expected [S]");
    const auto n = static_cast<size_t>(x.shape(0));
    Array<float> out({n_frames(n), n_mels_});
    const auto size = static_cast<size_t>(out.size());
    with_samples(
        x, [&](const auto* samples) { check(compute(samples, n, out.mutable_data(), size)); });
    return out;
  }

 private:
  bifast_status compute(const float* x, size_t n, float* f, size_t size) {
    return bifast_frontend_run(frontend_.get(), x, n, f, size);
  }
  bifast_status compute(const int16_t* x, size_t n, float* f, size_t size) {
    return bifast_frontend_run_i16(frontend_.get(), x, n, f, size);
  }

  size_t n_mels_;
  std::unique_ptr<bifast_frontend, FreeFrontend> frontend_;
};

Frontend make_frontend(uint32_t sample_rate, uint32_t window_samples, uint32_t n_fft,
                       uint32_t win_length, uint32_t hop, uint32_t n_mels, bool center,
                       double f_min, double f_max, double power_divisor, double floor,
                       const std::optional<std::string>& isa) {
  return Frontend({sample_rate, window_samples, n_fft, win_length, hop, n_mels, center ? 1u : 0u,
                   f_min, f_max, power_divisor, floor},
                  isa);
}

std::string default_isa() {
  const char* name = nullptr;
  check(bifast_default_isa(&name));
  return name;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "bifast's engine; use it through the package bifast.";
  m.attr("version") = bifast_version();
  m.def("isas", [] { return names(bifast_isa); });
  m.def("default_isa", default_isa);
  m.def("kernels", [] { return names(bifast_kernel_name); });
  m.def(
      "check_kernel",
      [](const std::string& isa, size_t index) { check(bifast_check_kernel(isa.c_str(), index)); },
      py::arg("isa"), py::arg("index"));

  py::class_<Model>(m, "Model")
      .def(py::init<const py::bytes&, const std::optional<std::string>&>(), py::arg("data"),
           py::arg("isa") = std::nullopt)
      .def_property_readonly("labels",
                             [](const Model& self) { return names(bifast_label, self.get()); })
      .def_property_readonly("depths",
                             [](const Model& self) { return names(bifast_depth_name, self.get()); })
      .def_property_readonly("sample_rate",
                             [](const Model& self) { return bifast_sample_rate(self.get()); })
      .def_property_readonly("window_samples",
                             [](const Model& self) { return bifast_window_samples(self.get()); })
      .def_property_readonly("hop_samples",
                             [](const Model& self) { return bifast_hop_samples(self.get()); })
      .def_property_readonly("scratch_bytes",
                             [](const Model& self) { return bifast_scratch_bytes(self.get()); })
      .def_property_readonly("isa", [](const Model& self) { return bifast_model_isa(self.get()); })
      .def_property_readonly("card", [](const Model& self) { return bifast_card(self.get()); })
      .def_property_readonly("input_shape", &Model::input_shape)
      .def("run", &Model::run, py::arg("x"), py::arg("depth"), py::arg("threads") = 1)
      .def("run_features", &Model::run_features, py::arg("f").noconvert(), py::arg("depth"),
           py::arg("threads") = 1)
      .def("features", &Model::features, py::arg("x"))
      .def("trace", &Model::trace, py::arg("f").noconvert(), py::arg("depth"));

  py::class_<Stream>(m, "Stream")
      .def(py::init<Model&, size_t, size_t>(), py::arg("model"), py::arg("depth"),
           py::arg("hop_frames"), py::keep_alive<1, 2>())
      .def("push", &Stream::push, py::arg("x"))
      .def("flush", &Stream::flush)
      .def("reset", &Stream::reset, py::arg("origin"))
      .def("set_gate", &Stream::set_gate, py::arg("peak"))
      .def("snapshot", &Stream::snapshot)
      .def("restore", &Stream::restore, py::arg("data"))
      .def_property_readonly("position", &Stream::position)
      .def_property_readonly("n_skipped", &Stream::n_skipped);

  py::class_<Frontend>(m, "Frontend")
      .def(py::init(&make_frontend), py::kw_only(), py::arg("sample_rate"),
           py::arg("window_samples"), py::arg("n_fft"), py::arg("win_length"), py::arg("hop"),
           py::arg("n_mels"), py::arg("center"), py::arg("f_min"), py::arg("f_max"),
           py::arg("power_divisor"), py::arg("floor"), py::arg("isa") = std::nullopt)
      .def("n_frames", &Frontend::n_frames, py::arg("n_samples"))
      .def("__call__", &Frontend::run, py::arg("x"));
}
