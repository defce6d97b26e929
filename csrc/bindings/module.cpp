// The Python extension: a thin layer over bifast.h that checks arrays, releases the GIL, and maps
// errors.
#include "bindings.h"

namespace bifast_bindings {

void raise(bifast_status status, const std::string& text) {
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

namespace {

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

  struct FreeFrontend {
    void operator()(bifast_frontend* p) const { bifast_frontend_free(p); }
  };

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
}  // namespace bifast_bindings

PYBIND11_MODULE(_core, m) {
  using namespace bifast_bindings;
  m.doc() = "bifast's engine; use it through the package bifast.";
  m.attr("version") = bifast_version();
  m.def("isas", [] { return names(bifast_isa); });
  m.def("default_isa", default_isa);
  m.def("kernels", [] { return names(bifast_kernel_name); });
  m.def(
      "check_kernel",
      [](const std::string& isa, size_t index) { check(bifast_check_kernel(isa.c_str(), index)); },
      py::arg("isa"), py::arg("index"));

  bind_model(m);
  bind_stream(m);
  py::class_<Frontend>(m, "Frontend")
      .def(py::init(&make_frontend), py::kw_only(), py::arg("sample_rate"),
           py::arg("window_samples"), py::arg("n_fft"), py::arg("win_length"), py::arg("hop"),
           py::arg("n_mels"), py::arg("center"), py::arg("f_min"), py::arg("f_max"),
           py::arg("power_divisor"), py::arg("floor"), py::arg("isa") = std::nullopt)
      .def("n_frames", &Frontend::n_frames, py::arg("n_samples"))
      .def("__call__", &Frontend::run, py::arg("x"));
}
