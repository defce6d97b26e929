// Models of the Python extension: clips, batches on threads, traces.
#include <algorithm>
#include <thread>

#include "bindings.h"

namespace bifast_bindings {
namespace {

constexpr size_t kIdleSessions = 8;

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

bifast_model* load(const py::bytes& data, const std::optional<std::string>& isa) {
  char* bytes = nullptr;
  py::ssize_t n_bytes = 0;
  if (PyBytes_AsStringAndSize(data.ptr(), &bytes, &n_bytes) != 0) throw py::error_already_set();
  bifast_model* model = nullptr;
  check(bifast_load_memory(bytes, static_cast<size_t>(n_bytes), or_null(isa), &model));
  return model;
}

void append_layer(void* user, const bifast_layer_output* o) {
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
  } else if (o->is_bytes != 0) {
    array = Array<uint8_t>(shape, rows);
  } else {
    array = Array<float>(shape, static_cast<const float*>(o->data));
  }
  static_cast<py::list*>(user)->append(py::make_tuple(o->name, o->is_bits != 0, array));
}

}  // namespace

template <typename Function>
void Model::run_batch(size_t n, size_t threads, const Function& function) {
  threads = std::max<size_t>(1, std::min(threads, n));
  std::vector<SessionHandle> sessions;
  for (size_t t = 0; t < threads; ++t) sessions.push_back(take_session());
  std::vector<std::pair<bifast_status, std::string>> errors(threads, {BIFAST_OK, ""});
  const auto part = [&](size_t t) {
    for (size_t i = n * t / threads; i < n * (t + 1) / threads; ++i) {
      const bifast_status status = function(sessions[t].get(), i);
      if (status == BIFAST_OK) continue;
      errors[t] = {status, (n > 1 ? "clip " + std::to_string(i) + ": " : "") + bifast_last_error()};
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

Model::Model(const py::bytes& data, const std::optional<std::string>& isa)
    : model_(load(data, isa)), usual_(get()) {}

std::tuple<size_t, size_t, size_t> Model::input_shape() const {
  size_t shape[3];
  bifast_input_shape(get(), shape);
  return {shape[0], shape[1], shape[2]};
}

std::pair<uint64_t, std::vector<uint64_t>> Model::work() const {
  const uint64_t shared = bifast_shared_work(get());
  std::vector<uint64_t> own(bifast_n_depths(get()));
  for (size_t depth = 0; depth < own.size(); ++depth)
    own[depth] = bifast_work(get(), depth) - shared;
  return {shared, own};
}

py::list Model::words() const {
  py::list all;
  for (size_t i = 0; i < n_classes(); ++i) {
    const bifast_word w = bifast_word_of(get(), i);
    if (w.threshold == 0.0) continue;
    all.append(py::make_tuple(bifast_label(get(), i),
                              py::make_tuple(w.threshold, w.smoothing, w.refractory)));
  }
  return all;
}

Array<float> Model::run(const py::array& x, size_t depth, size_t threads) {
  if (x.ndim() != 2) throw py::value_error("samples: expected [B, S]");
  const auto n_clips = static_cast<size_t>(x.shape(0)), n_samples = static_cast<size_t>(x.shape(1));
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

template <typename Value, typename Run>
Array<float> Model::run_arrays(const Array<Value>& x, size_t threads, const Run& run) {
  if (x.ndim() != 4) throw py::value_error("features: expected [B, T, M, C]");
  const auto n_clips = static_cast<size_t>(x.shape(0));
  const size_t each = n_clips > 0 ? static_cast<size_t>(x.size()) / n_clips : 0;
  Array<float> logits({n_clips, n_classes()});
  float* out = logits.mutable_data();
  const Value* values = x.data();
  run_batch(n_clips, threads, [=, this](bifast_session* session, size_t i) {
    return run(session, values + i * each, each, out + i * n_classes());
  });
  return logits;
}

Array<float> Model::run_features(const Array<float>& f, size_t depth, size_t threads) {
  return run_arrays(f, threads, [=, this](bifast_session* s, const float* x, size_t n, float* y) {
    return bifast_run_features(s, depth, x, n, y, n_classes());
  });
}

Array<float> Model::run_bytes(const Array<uint8_t>& x, size_t depth, size_t threads) {
  return run_arrays(x, threads, [=, this](bifast_session* s, const uint8_t* u, size_t n, float* y) {
    return bifast_run_bytes(s, depth, u, n, y, n_classes());
  });
}

Array<float> Model::features(const py::array& x) {
  if (x.ndim() != 1) throw py::value_error("samples: expected [S]");
  const auto n_samples = static_cast<size_t>(x.shape(0));
  const size_t n_frames = bifast_n_frames(get(), n_samples), n_mels = std::get<1>(input_shape());
  Array<float> out({n_frames, n_mels});
  float* f = out.mutable_data();
  with_samples(x, [&](const auto* samples) {
    with_session([=](bifast_session* session) {
      return features_of(session, samples, n_samples, f, n_frames * n_mels);
    });
  });
  return out;
}

std::pair<Array<float>, py::list> Model::trace(const Array<float>& f, size_t depth) {
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

SessionHandle Model::take_session() {
  if (!sessions_.empty()) {
    SessionHandle session = std::move(sessions_.back());
    sessions_.pop_back();
    return session;
  }
  bifast_session* session = nullptr;
  check(bifast_session_new(get(), &session));
  return SessionHandle(session);
}

void Model::keep_session(SessionHandle session) {
  if (sessions_.size() < kIdleSessions) sessions_.push_back(std::move(session));
}

void bind_model(py::module_& m) {
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
      .def_property_readonly("words", &Model::words)
      .def_property_readonly("work", &Model::work)
      .def_property_readonly("has_cascade",
                             [](const Model& self) { return bifast_has_cascade(self.get()) != 0; })
      .def_property_readonly("input_shape", &Model::input_shape)
      .def_property_readonly("takes_bytes",
                             [](const Model& self) { return bifast_takes_bytes(self.get()) != 0; })
      .def("run_one", &Model::run_one, py::arg("x"), py::arg("depth"), py::arg("threads"))
      .def("run_features_one", &Model::run_features_one, py::arg("f"), py::arg("depth"),
           py::arg("threads"))
      .def("run", &Model::run, py::arg("x"), py::arg("depth"), py::arg("threads") = 1)
      .def("run_features", &Model::run_features, py::arg("f").noconvert(), py::arg("depth"),
           py::arg("threads") = 1)
      .def("run_bytes", &Model::run_bytes, py::arg("x").noconvert(), py::arg("depth"),
           py::arg("threads") = 1)
      .def("features", &Model::features, py::arg("x"))
      .def("trace", &Model::trace, py::arg("f").noconvert(), py::arg("depth"));
}

}  // namespace bifast_bindings
