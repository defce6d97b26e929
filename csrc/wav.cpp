// Reader of WAV files for bifast-run.
#include "wav.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace bifast {
namespace {

constexpr uint16_t kPcm = 1, kFloat = 3, kExtensible = 0xFFFE;

// From here on a size is what programs write when they stream and cannot know the length; 0 stays
// where a header is never completed.
constexpr uint32_t kUnknownSize = 0x7FFFF000;

[[noreturn]] void fail(const std::string& why) { throw std::runtime_error(why); }

template <typename T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));  // the targets are little-endian
  return value;
}

struct Layout {
  uint16_t encoding = 0, channels = 0, bits = 0;
  uint32_t sample_rate = 0;

  size_t sample_bytes() const { return bits / 8u; }
  bool known() const {
    const bool pcm = encoding == kPcm && (bits == 8 || bits == 16 || bits == 24 || bits == 32);
    return channels >= 1 && (pcm || (encoding == kFloat && bits == 32));
  }
};

float decode(const Layout& layout, const char* at) {
  if (layout.encoding == kFloat) return load<float>(at);
  switch (layout.bits) {
    case 8:
      return static_cast<float>(load<uint8_t>(at) - 128) / 128.0f;
    case 16:
      return static_cast<float>(load<int16_t>(at)) / 32768.0f;
    case 24: {
      char high[4] = {0, at[0], at[1], at[2]};
      return static_cast<float>(load<int32_t>(high)) / 2147483648.0f;
    }
    default:
      return static_cast<float>(load<int32_t>(at)) / 2147483648.0f;
  }
}

Layout read_layout(const char* chunk, size_t n_bytes) {
  if (n_bytes < 16) fail("the WAV format chunk is too short");
  Layout layout{load<uint16_t>(chunk), load<uint16_t>(chunk + 2), load<uint16_t>(chunk + 14),
                load<uint32_t>(chunk + 4)};
  if (layout.encoding == kExtensible && n_bytes >= 26) layout.encoding = load<uint16_t>(chunk + 24);
  if (!layout.known()) fail("expected a WAV of 8, 16, 24, 32 bit PCM or 32 bit float");
  return layout;
}

}  // namespace

Wav read_wav(const std::string& path) {
  if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path)) {
    fail("not a regular file");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(std::strerror(errno));
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (bytes.size() < 12 || bytes.compare(0, 4, "RIFF") != 0 || bytes.compare(8, 4, "WAVE") != 0) {
    fail("not a WAV file");
  }
  Layout layout;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const size_t body = at + 8;
    const uint32_t declared = load<uint32_t>(bytes.data() + at + 4);
    const bool is_data = bytes.compare(at, 4, "data") == 0;
    // A file that knows its own size and says that it has no samples is right.
    const bool is_empty = declared == 0 && load<uint32_t>(bytes.data() + 4) + 8 == bytes.size();
    const bool is_open = is_data && !is_empty && (declared == 0 || declared >= kUnknownSize);
    const size_t rest = bytes.size() - body;
    const size_t n_bytes = is_open ? rest : std::min<size_t>(declared, rest);
    if (is_data && n_bytes < declared && !is_open) {
      fail("expected " + std::to_string(declared) + " bytes of samples, got " +
           std::to_string(n_bytes) + "; the file is cut");
    }
    if (bytes.compare(at, 4, "fmt ") == 0) layout = read_layout(bytes.data() + body, n_bytes);
    if (is_data) {
      if (!layout.known()) fail("the WAV data come before their format");
      const size_t frame_bytes = layout.sample_bytes() * layout.channels;
      Wav wav{layout.sample_rate, {}};
      wav.samples.reserve(n_bytes / frame_bytes);
      for (size_t i = body; i + frame_bytes <= body + n_bytes; i += frame_bytes) {
        float sum = 0.0f;
        for (size_t c = 0; c < layout.channels; ++c) {
          sum += decode(layout, bytes.data() + i + c * layout.sample_bytes());
        }
        wav.samples.push_back(sum / layout.channels);
      }
      return wav;
    }
    at = body + n_bytes + n_bytes % 2;
  }
  fail("the WAV file holds no data");
}

}  // namespace bifast
