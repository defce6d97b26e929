// What the files of the C interface share: its handles, and how errors become status codes.
#ifndef BIFAST_API_H_
#define BIFAST_API_H_

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "align.h"
#include "bifast.h"
#include "error.h"
#include "model.h"
#include "stream.h"

namespace bifast {

struct FreeAligned {
  void operator()(uint8_t* p) const { std::free(p); }
};
using AlignedBytes = std::unique_ptr<uint8_t, FreeAligned>;

// Zeroed, so that what a kernel reads past a row is the same on every run.
inline AlignedBytes allocate(size_t n_bytes) {
  auto* p = static_cast<uint8_t*>(std::aligned_alloc(kAlign, n_bytes));
  if (p == nullptr) throw std::bad_alloc();
  std::memset(p, 0, n_bytes);
  return AlignedBytes(p);
}

// Keeps the text for bifast_last_error() and returns the status.
bifast_status report(bifast_status status, const char* text) noexcept;

template <typename Function>
bifast_status guarded(Function&& function) noexcept {
  try {
    function();
    return BIFAST_OK;
  } catch (const Error& e) {
    return report(e.status, e.what());
  } catch (const std::bad_alloc&) {
    return report(BIFAST_NO_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return report(BIFAST_INTERNAL, e.what());
  } catch (...) {  // a caller's callback may throw anything
    return report(BIFAST_INTERNAL, "an exception that is no std::exception");
  }
}

inline void expect_pointer(const void* pointer, const char* name) {
  if (pointer == nullptr) fail_argument(std::string(name) + ": null pointer");
}

inline void expect_count(const char* what, size_t expected, size_t got) {
  if (expected != got) {
    fail_argument(std::string(what) + ": expected " + std::to_string(expected) + ", got " +
                  std::to_string(got));
  }
}

inline void expect_depth(const Model& model, size_t depth) {
  if (depth >= model.depths().size()) {
    fail_argument("depth: expected 0 .. " + std::to_string(model.depths().size() - 1) + ", got " +
                  std::to_string(depth));
  }
}

}  // namespace bifast

struct bifast_model {
  bifast::Model model;
};

struct bifast_session {
  const bifast::Model& model;
  bifast::AlignedBytes arena;
};

struct bifast_stream {
  bifast::Stream stream;
};

#endif  // BIFAST_API_H_
