// Reader of WAV files for bifast-run: PCM of 8, 16, 24 or 32 bits and 32-bit float, any number of
// channels.
#ifndef BIFAST_WAV_H_
#define BIFAST_WAV_H_

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace bifast {

struct Wav {
  uint32_t sample_rate;
  std::vector<float> samples;  // mono, in [-1, 1]: the mean of the channels
};

// Throws std::runtime_error saying what is wrong with the file, without its name.
Wav read_wav(const std::string& path);

}  // namespace bifast

#endif  // BIFAST_WAV_H_
