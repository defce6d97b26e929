// Streams of the Python extension.
#include "bindings.h"

namespace bifast_bindings {
namespace {

struct FreeStream {
  void operator()(bifast_stream* p) const { bifast_stream_free(p); }
};

bifast_status push_to(bifast_stream* stream, bifast_session* s, const float* x, size_t n,
                      bifast_on_score on_score, void* user) {
  return bifast_stream_push(stream, s, x, n, on_score, user);
}
bifast_status push_to(bifast_stream* stream, bifast_session* s, const int16_t* x, size_t n,
                      bifast_on_score on_score, void* user) {
  return bifast_stream_push_i16(stream, s, x, n, on_score, user);
}

bifast_status check_of(const bifast_stream* stream, const float* x, size_t n) {
  return bifast_stream_check(stream, x, n);
}
bifast_status check_of(const bifast_stream* stream, const int16_t* x, size_t n) {
  return bifast_stream_check_i16(stream, x, n);
}

// An array [S] of float32 or int16. TypeError where it is none: the Python layer says what it is.
struct Samples {
  explicit Samples(const py::array& x)
      : count(static_cast<size_t>(x.size())),
        data(x.data()),
        floats(py::isinstance<py::array_t<float>>(x)) {
    const bool known = floats || py::isinstance<py::array_t<int16_t>>(x);
    if (x.ndim() != 1 || !(x.flags() & py::array::c_style) || !known) {
      throw py::type_error("samples");
    }
  }

  template <typename Function>
  bifast_status with(const Function& function) const {
    return floats ? function(static_cast<const float*>(data), count)
                  : function(static_cast<const int16_t*>(data), count);
  }

  size_t count;
  const void* data;
  bool floats;
};

// Scores as arrays that grow no more, so that collecting them cannot fail.
class Scores {
 public:
  Scores(size_t most, size_t n_classes, const bifast_stream* stream)
      : stream_(stream),
        starts_(static_cast<py::ssize_t>(most)),
        logits_({most, n_classes}),
        depths_(static_cast<py::ssize_t>(most)),
        starts_at_(starts_.mutable_data()),
        logits_at_(logits_.mutable_data()),
        depths_at_(depths_.mutable_data()) {}

  static void add(void* user, int64_t start, const float* logits, size_t n_classes) {
    auto* self = static_cast<Scores*>(user);
    self->logits_at_ = std::copy_n(logits, n_classes, self->logits_at_);
    self->depths_at_[self->count_] = static_cast<uint8_t>(bifast_stream_score_depth(self->stream_));
    self->starts_at_[self->count_++] = start;
  }

  // Starts, [W], logits, [W, classes], and depths, [W]; None where there are none.
  py::object take() const {
    if (count_ == 0) return py::none();
    if (count_ == static_cast<size_t>(starts_.shape(0))) {
      return py::make_tuple(starts_, logits_, depths_);
    }
    const py::slice first(0, static_cast<py::ssize_t>(count_), 1);
    return py::make_tuple(starts_[first], logits_[first], depths_[first]);
  }

 private:
  const bifast_stream* stream_;
  Array<int64_t> starts_;
  Array<float> logits_;
  Array<uint8_t> depths_;
  int64_t* starts_at_;
  float* logits_at_;
  uint8_t* depths_at_;
  size_t count_ = 0;
};

// Says that a thread pushes, until it is left.
class Busy {
 public:
  explicit Busy(bool& flag) : flag_(flag) { flag_ = true; }
  ~Busy() { flag_ = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  bool& flag_;
};

class Stream {
 public:
  Stream(Model& model, size_t depth, size_t hop_frames) : model_(model) {
    bifast_stream* stream = nullptr;
    check(bifast_stream_new(model.get(), depth, hop_frames, &stream));
    stream_.reset(stream);
  }

  py::object push(const py::array& x) {
    const Samples samples(x);
    return run(bifast_stream_n_scores(idle(), samples.count),
               [&](bifast_session* session, Scores* scores) {
                 return samples.with([&](const auto* data, size_t n) {
                   return push_to(get(), session, data, n, Scores::add, scores);
                 });
               });
  }

  void check_samples(const py::array& x) const {
    check(Samples(x).with([&](const auto* data, size_t n) { return check_of(idle(), data, n); }));
  }

  py::object flush() {
    return run(bifast_stream_n_flush_scores(idle()), [&](bifast_session* session, Scores* scores) {
      return bifast_stream_flush(get(), session, Scores::add, scores);
    });
  }

  void reset(int64_t origin) { check(bifast_stream_reset(idle(), origin)); }
  void set_gate(float peak) { check(bifast_stream_set_gate(idle(), peak)); }
  int64_t position() const { return bifast_stream_position(idle()); }
  double cost() const { return bifast_stream_cost(idle()); }
  bool busy() const { return busy_; }
  int64_t n_skipped() const { return bifast_stream_n_skipped(idle()); }
  // Windows scored at each depth.
  std::vector<int64_t> n_scored() const {
    std::vector<int64_t> all(bifast_n_depths(model_.get()));
    for (size_t i = 0; i < all.size(); ++i) all[i] = bifast_stream_n_scored(idle(), i);
    return all;
  }
  void set_words(const std::vector<bool>& flags) {
    const std::vector<uint8_t> is_word(flags.begin(), flags.end());
    check(bifast_stream_set_words(idle(), is_word.data(), is_word.size()));
  }

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
    Scores scores(most, model_.n_classes(), get());
    const Busy busy(busy_);
    model_.with_session([&](bifast_session* session) { return function(session, &scores); });
    return scores.take();
  }

  Model& model_;
  std::unique_ptr<bifast_stream, FreeStream> stream_;
  bool busy_ = false;  // the GIL guards it
};

}  // namespace

void bind_stream(py::module_& m) {
  py::class_<Stream>(m, "Stream")
      .def(py::init([](Model& model, std::optional<size_t> depth, size_t hop_frames) {
             return std::make_unique<Stream>(model, depth.value_or(BIFAST_AUTO), hop_frames);
           }),
           py::arg("model"), py::arg("depth"), py::arg("hop_frames"), py::keep_alive<1, 2>())
      .def("push", &Stream::push, py::arg("x"))
      .def("check", &Stream::check_samples, py::arg("x"))
      .def("flush", &Stream::flush)
      .def("reset", &Stream::reset, py::arg("origin"))
      .def("set_gate", &Stream::set_gate, py::arg("peak"))
      .def("snapshot", &Stream::snapshot)
      .def("restore", &Stream::restore, py::arg("data"))
      .def("set_words", &Stream::set_words, py::arg("is_word"))
      .def_property_readonly("n_scored", &Stream::n_scored)
      .def_property_readonly("cost", &Stream::cost)
      .def_property_readonly("position", &Stream::position)
      .def_property_readonly("n_skipped", &Stream::n_skipped)
      .def_property_readonly("busy", &Stream::busy);
}

}  // namespace bifast_bindings
