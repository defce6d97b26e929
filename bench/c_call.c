/* Calls of the C interface again and again, for bench/c_call.py. */
#include <stdint.h>

#include "bifast.h"

/* 0, or the status of the call that failed. samples != 0: a clip, else features. */
int call(bifast_session* session, int samples, const float* x, size_t n, float* y, size_t n_classes,
         size_t times) {
  for (size_t i = 0; i < times; ++i) {
    const bifast_status status = samples != 0 ? bifast_run(session, 0, x, n, y, n_classes)
                                              : bifast_run_features(session, 0, x, n, y, n_classes);
    if (status != BIFAST_OK) return (int)status;
  }
  return 0;
}
