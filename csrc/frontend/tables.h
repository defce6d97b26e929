// Constant tables of a front-end setting: window, twiddles, mel bands.
//
// They are computed with additions, multiplications and divisions in double precision only (which
// IEEE-754 fixes on every machine), never with a platform's sine or logarithm, so every machine
// gets the same bits.
#ifndef BIFAST_FRONTEND_TABLES_H_
#define BIFAST_FRONTEND_TABLES_H_

#include <cstdint>
#include <vector>

#include "align.h"
#include "bifast.h"
#include "kernels/kernels.h"

namespace bifast {

template <typename T>
struct SpectrumTableData {
  explicit SpectrumTableData(const bifast_frontend_params& params);

  SpectrumTables<T> view() const {
    return {window.data(), second.data(), stages.data(), split.data()};
  }

  AlignedVector<T> window;  // periodic Hann of win_length, centred in n_fft
  AlignedVector<T> second, stages, split;
};

struct FrontendTableData {
  explicit FrontendTableData(const bifast_frontend_params& params);

  FrontendTables view(const bifast_frontend_params& params) const;

  SpectrumTableData<float> single;
  SpectrumTableData<double> exact;
  std::vector<uint32_t> order, band_start, band_size;
  AlignedVector<float> band_weights, band_limit;

 private:
  void push_band(size_t first, const std::vector<double>& weights);
};

}  // namespace bifast

#endif  // BIFAST_FRONTEND_TABLES_H_
