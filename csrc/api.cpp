// The C interface: models, sessions, running, the front-end alone.
#include "api.h"

#include <sys/stat.h>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string>

#include "bifast.h"
#include "dispatch.h"
#include "error.h"
#include "frontend/frontend.h"
#include "model.h"
#include "selfcheck/selfcheck.h"

namespace {

using bifast::expect_count;
using bifast::expect_depth;
using bifast::expect_pointer;
using bifast::guarded;

constexpr std::streamoff kMaxFileBytes = std::streamoff{256} << 20;

std::string& last_error() {
  static thread_local std::string text;
  return text;
}

[[noreturn]] void fail_io(const char* path, const char* why) {
  throw bifast::Error(BIFAST_IO, std::string(path) + ": " + why);
}

// Read, not mapped: what the engine keeps is re-tiled anyway, and a mapped file that someone
// truncates would kill the process.
std::string read_file(const char* path) {
  struct stat info;
  if (stat(path, &info) != 0) fail_io(path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) fail_io(path, "not a regular file");
  if (info.st_size > kMaxFileBytes)
    bifast::fail_format(std::string(path) + ": larger than 256 MiB");
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_io(path, std::strerror(errno));
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  file.read(bytes.data(), info.st_size);
  bytes.resize(static_cast<size_t>(file.gcount()));  // the reader tells a short file
  return bytes;
}

}  // namespace

bifast_status bifast::report(bifast_status status, const char* text) noexcept {
  try {
    last_error() = text;
  } catch (...) {
    // No memory for the text; the status still tells.
  }
  return status;
}

struct bifast_frontend {
  bifast_frontend(const bifast_frontend_params& params, const bifast::Kernels& kernels)
      : frontend(params, kernels), scratch(bifast::allocate(frontend.scratch_bytes())) {}

  bifast::Frontend frontend;
  bifast::AlignedBytes scratch;
};

namespace {

void load(const void* bytes, size_t n_bytes, const char* isa, bifast_model** model) {
  *model = new bifast_model{
      bifast::Model(static_cast<const uint8_t*>(bytes), n_bytes, bifast::find_isa(isa))};
}

const bifast::Frontend& frontend_of(const bifast::Model& model) {
  if (!model.frontend()) {
    bifast::fail_argument(
        "this model has no front-end: it takes no sound; use bifast_run_features");
  }
  return *model.frontend();
}

template <typename Sample>
bifast_status run_clip(bifast_session* session, size_t depth, const Sample* samples,
                       size_t n_samples, float* logits, size_t n_classes) {
  return guarded([&] {
    expect_pointer(session, "session");
    expect_pointer(samples, "samples");
    expect_pointer(logits, "logits");
    const bifast::Model& model = session->model;
    expect_depth(model, depth);
    const size_t window = frontend_of(model).params().window_samples;
    if (n_samples < 1 || n_samples > window) {
      bifast::fail_argument("n_samples: expected 1 .. " + std::to_string(window) + ", got " +
                            std::to_string(n_samples));
    }
    expect_count("n_classes", model.labels().size(), n_classes);
    bifast::check_samples(samples, n_samples);
    model.run_clip(session->arena.get(), depth, samples, n_samples, logits);
  });
}

// Audio of any length, and room for its features.
template <typename Sample>
void check_audio(const bifast::Frontend& frontend, const Sample* samples, size_t n_samples,
                 const float* features, size_t n_features) {
  expect_pointer(samples, "samples");
  expect_pointer(features, "features");
  if (n_samples < 1) bifast::fail_argument("n_samples: expected at least 1, got 0");
  expect_count("n_features", frontend.n_frames(n_samples) * frontend.params().n_mels, n_features);
  bifast::check_samples(samples, n_samples);
}

template <typename Sample>
bifast_status run_features_of(bifast_session* session, const Sample* samples, size_t n_samples,
                              float* features, size_t n_features) {
  return guarded([&] {
    expect_pointer(session, "session");
    check_audio(frontend_of(session->model), samples, n_samples, features, n_features);
    session->model.run_frontend(session->arena.get(), samples, n_samples, features);
  });
}

template <typename Sample>
bifast_status run_frontend(bifast_frontend* frontend, const Sample* samples, size_t n_samples,
                           float* features, size_t n_features) {
  return guarded([&] {
    expect_pointer(frontend, "frontend");
    const bifast::Frontend& f = frontend->frontend;
    check_audio(f, samples, n_samples, features, n_features);
    f.run(samples, n_samples, features, frontend->scratch.get());
  });
}

// All exponent bits are set in NaN and infinity alone: no branch for each value, so it vectorises.
bool all_finite(const float* values, size_t n) {
  constexpr uint32_t kInfinity = 0x7F800000u;
  uint32_t over = 0;
  for (size_t i = 0; i < n; ++i) {
    over |= kInfinity - 1 - (std::bit_cast<uint32_t>(values[i]) & 0x7FFFFFFFu);
  }
  return over >> 31 == 0;
}

void check_features(const bifast::Model& model, const float* features, size_t n_features) {
  expect_count("n_features", model.input_size(), n_features);
  if (!all_finite(features, n_features)) {
    size_t bad = 0;
    while (std::isfinite(features[bad])) ++bad;
    bifast::fail_argument("feature " + std::to_string(bad) + " is not finite");
  }
  if (!model.input().is_bytes) return;
  for (size_t i = 0; i < n_features; ++i) {
    const float x = features[i];
    if (!(x >= 0.0f && x <= 255.0f && x == static_cast<float>(static_cast<int>(x)))) {
      bifast::fail_argument("feature " + std::to_string(i) +
                            ": expected a whole number 0 .. 255, as the model takes bytes");
    }
  }
}

void run_features(bifast_session* session, size_t depth, const float* features, size_t n_features,
                  float* logits, size_t n_classes, const bifast::Model::Observer* observer) {
  expect_pointer(session, "session");
  expect_pointer(features, "features");
  expect_pointer(logits, "logits");
  const bifast::Model& model = session->model;
  expect_depth(model, depth);
  expect_count("n_classes", model.labels().size(), n_classes);
  check_features(model, features, n_features);
  model.run_features(session->arena.get(), depth, features, logits, observer);
}

const char* name_at(const std::vector<std::string>& names, size_t index) {
  return index < names.size() ? names[index].c_str() : nullptr;
}

}  // namespace

const char* bifast_last_error(void) { return last_error().c_str(); }
const char* bifast_version(void) { return BIFAST_VERSION; }

const char* bifast_isa(size_t index) {
  const auto isas = bifast::runnable_isas();
  return index < isas.size() ? isas[index]->name : nullptr;
}

bifast_status bifast_default_isa(const char** name) {
  return guarded([&] {
    expect_pointer(name, "name");
    *name = bifast::find_isa(nullptr).name;
  });
}

const char* bifast_kernel_name(size_t index) {
  return index < bifast::kernel_count() ? bifast::kernel_name(index) : nullptr;
}

bifast_status bifast_check_kernel(const char* isa, size_t index) {
  return guarded([&] {
    if (index >= bifast::kernel_count()) bifast::fail_argument("no such kernel");
    bifast::check_kernel(bifast::find_isa(isa), index);
  });
}

bifast_status bifast_load(const char* path, bifast_model** model) {
  return guarded([&] {
    expect_pointer(path, "path");
    expect_pointer(model, "model");
    const std::string bytes = read_file(path);
    try {
      load(bytes.data(), bytes.size(), nullptr, model);
    } catch (const bifast::Error& e) {
      throw bifast::Error(e.status, std::string(path) + ": " + e.what());
    }
  });
}

bifast_status bifast_load_memory(const void* bytes, size_t n_bytes, const char* isa,
                                 bifast_model** model) {
  return guarded([&] {
    expect_pointer(bytes, "bytes");
    expect_pointer(model, "model");
    load(bytes, n_bytes, isa, model);
  });
}

void bifast_free(bifast_model* model) { delete model; }

size_t bifast_n_classes(const bifast_model* model) { return model->model.labels().size(); }
size_t bifast_n_depths(const bifast_model* model) { return model->model.depths().size(); }

size_t bifast_sample_rate(const bifast_model* model) {
  const auto& frontend = model->model.frontend();
  return frontend ? frontend->params().sample_rate : 0;
}
size_t bifast_window_samples(const bifast_model* model) {
  const auto& frontend = model->model.frontend();
  return frontend ? frontend->params().window_samples : 0;
}
size_t bifast_hop_samples(const bifast_model* model) {
  const auto& frontend = model->model.frontend();
  return frontend ? frontend->params().hop : 0;
}

void bifast_input_shape(const bifast_model* model, size_t shape[3]) {
  const bifast::BufferSpec& input = model->model.input();
  shape[0] = input.height;
  shape[1] = input.width;
  shape[2] = input.channels;
}

int bifast_takes_bytes(const bifast_model* model) { return model->model.input().is_bytes ? 1 : 0; }

size_t bifast_scratch_bytes(const bifast_model* model) { return model->model.arena_bytes(); }
const char* bifast_model_isa(const bifast_model* model) { return model->model.kernels().name; }
const char* bifast_label(const bifast_model* model, size_t index) {
  return name_at(model->model.labels(), index);
}
const char* bifast_depth_name(const bifast_model* model, size_t index) {
  return name_at(model->model.depths(), index);
}

bifast_status bifast_find_depth(const bifast_model* model, const char* name, size_t* index) {
  return guarded([&] {
    expect_pointer(model, "model");
    expect_pointer(name, "name");
    expect_pointer(index, "index");
    std::string known;
    const auto& depths = model->model.depths();
    for (size_t i = 0; i < depths.size(); ++i) {
      if (depths[i] == name) {
        *index = i;
        return;
      }
      known += (i > 0 ? ", " : "") + depths[i];
    }
    bifast::fail_argument("depth '" + std::string(name) + "': expected one of " + known);
  });
}

int bifast_has_cascade(const bifast_model* model) {
  return model->model.cascade().has_value() ? 1 : 0;
}

uint64_t bifast_work(const bifast_model* model, size_t depth) {
  if (depth >= model->model.depths().size()) return 0;
  return model->model.shared_work() + model->model.own_work(depth);
}

uint64_t bifast_shared_work(const bifast_model* model) { return model->model.shared_work(); }

bifast_word bifast_word_of(const bifast_model* model, size_t label) {
  const auto& words = model->model.words();
  return label < words.size() ? words[label] : bifast_word{};
}

const char* bifast_card(const bifast_model* model) { return model->model.card().c_str(); }

bifast_status bifast_session_new(const bifast_model* model, bifast_session** session) {
  return guarded([&] {
    expect_pointer(model, "model");
    expect_pointer(session, "session");
    *session = new bifast_session{model->model, bifast::allocate(model->model.arena_bytes())};
  });
}

void bifast_session_free(bifast_session* session) { delete session; }

bifast_status bifast_run(bifast_session* session, size_t depth, const float* samples,
                         size_t n_samples, float* logits, size_t n_classes) {
  return run_clip(session, depth, samples, n_samples, logits, n_classes);
}

bifast_status bifast_run_i16(bifast_session* session, size_t depth, const int16_t* samples,
                             size_t n_samples, float* logits, size_t n_classes) {
  return run_clip(session, depth, samples, n_samples, logits, n_classes);
}

bifast_status bifast_run_features(bifast_session* session, size_t depth, const float* features,
                                  size_t n_features, float* logits, size_t n_classes) {
  return guarded(
      [&] { run_features(session, depth, features, n_features, logits, n_classes, nullptr); });
}

bifast_status bifast_run_bytes(bifast_session* session, size_t depth, const uint8_t* image,
                               size_t n_bytes, float* logits, size_t n_classes) {
  return guarded([&] {
    expect_pointer(session, "session");
    expect_pointer(image, "image");
    expect_pointer(logits, "logits");
    const bifast::Model& model = session->model;
    if (!model.input().is_bytes) {
      bifast::fail_argument("this model takes floats, not bytes: use bifast_run_features");
    }
    expect_depth(model, depth);
    expect_count("n_bytes", model.input_size(), n_bytes);
    expect_count("n_classes", model.labels().size(), n_classes);
    model.run_bytes(session->arena.get(), depth, image, logits);
  });
}

size_t bifast_n_frames(const bifast_model* model, size_t n_samples) {
  const auto& frontend = model->model.frontend();
  return frontend ? frontend->n_frames(n_samples) : 0;
}

bifast_status bifast_features(bifast_session* session, const float* samples, size_t n_samples,
                              float* features, size_t n_features) {
  return run_features_of(session, samples, n_samples, features, n_features);
}

bifast_status bifast_features_i16(bifast_session* session, const int16_t* samples, size_t n_samples,
                                  float* features, size_t n_features) {
  return run_features_of(session, samples, n_samples, features, n_features);
}

bifast_status bifast_trace(bifast_session* session, size_t depth, const float* features,
                           size_t n_features, float* logits, size_t n_classes,
                           void (*observe)(void* user, const bifast_layer_output* output),
                           void* user) {
  return guarded([&] {
    if (observe == nullptr) bifast::fail_argument("observe: null pointer");
    const bifast::Model::Observer observer = [&](const bifast_layer_output& output) {
      observe(user, &output);
    };
    run_features(session, depth, features, n_features, logits, n_classes, &observer);
  });
}

bifast_status bifast_frontend_new(const bifast_frontend_params* params, const char* isa,
                                  bifast_frontend** frontend) {
  return guarded([&] {
    expect_pointer(params, "params");
    expect_pointer(frontend, "frontend");
    *frontend = new bifast_frontend(*params, bifast::find_isa(isa));
  });
}

void bifast_frontend_free(bifast_frontend* frontend) { delete frontend; }

size_t bifast_frontend_n_frames(const bifast_frontend* frontend, size_t n_samples) {
  return frontend->frontend.n_frames(n_samples);
}

bifast_status bifast_frontend_run(bifast_frontend* frontend, const float* samples, size_t n_samples,
                                  float* features, size_t n_features) {
  return run_frontend(frontend, samples, n_samples, features, n_features);
}

bifast_status bifast_frontend_run_i16(bifast_frontend* frontend, const int16_t* samples,
                                      size_t n_samples, float* features, size_t n_features) {
  return run_frontend(frontend, samples, n_samples, features, n_features);
}
