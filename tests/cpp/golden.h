// Reading of files and of golden files (tests/golden/README.md) for the C++ tests; the standard
// library alone.
#ifndef BIFAST_TESTS_CPP_GOLDEN_H_
#define BIFAST_TESTS_CPP_GOLDEN_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace golden {

using Bytes = std::vector<uint8_t>;

inline uint32_t crc32(const uint8_t* bytes, size_t n_bytes) {
  static const std::vector<uint32_t> table = [] {
    std::vector<uint32_t> t(256);
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0xEDB88320u : 0u);
      t[i] = c;
    }
    return t;
  }();
  uint32_t c = 0xFFFFFFFFu;
  for (size_t i = 0; i < n_bytes; ++i) c = (c >> 8) ^ table[(c ^ bytes[i]) & 0xFF];
  return ~c;
}

template <typename T>
T value_at(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <typename T>
std::vector<T> values(const Bytes& bytes) {
  std::vector<T> all(bytes.size() / sizeof(T));
  if (!all.empty()) std::memcpy(all.data(), bytes.data(), all.size() * sizeof(T));
  return all;
}

inline Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path);
    std::exit(2);
  }
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// One output of one layer as the oracle gives it.
struct Layer {
  std::string name;
  uint32_t type, height, width, channels, crc;  // type: 0 floats, 1 bits, 2 bytes
  Bytes data;                                   // empty where only the checksum is kept
};

struct Depth {
  uint32_t index;
  std::vector<Layer> layers;
  std::vector<float> logits;
};

struct File {
  Bytes model;
  std::vector<int16_t> wave;
  std::vector<float> features;
  std::vector<Depth> depths;
};

inline Layer layer_of(const Bytes& chunk) {
  constexpr size_t kNameBytes = 32, kHeadBytes = kNameBytes + 6 * 4;
  const auto u32 = [&](size_t i) { return value_at<uint32_t>(&chunk[kNameBytes + 4 * i]); };
  return {std::string(reinterpret_cast<const char*>(chunk.data())),
          u32(0),
          u32(1),
          u32(2),
          u32(3),
          u32(4),
          Bytes(chunk.begin() + kHeadBytes, chunk.end())};
}

constexpr char kMagic[] = "BFGOLD1\n";

inline bool is_golden(const Bytes& bytes) {
  return bytes.size() >= 8 && std::memcmp(bytes.data(), kMagic, 8) == 0;
}

inline File parse(const Bytes& bytes) {
  File file;
  for (size_t at = 8; at < bytes.size();) {
    const std::string tag(reinterpret_cast<const char*>(&bytes[at]), 4);
    const size_t size = value_at<uint32_t>(&bytes[at + 4]);
    const auto begin = bytes.begin() + static_cast<ptrdiff_t>(at + 8);
    const Bytes chunk(begin, begin + static_cast<ptrdiff_t>(size));
    at += 8 + size;
    if (tag == "MODL") file.model = chunk;
    if (tag == "WAVE") file.wave = values<int16_t>(chunk);
    if (tag == "FEAT") file.features = values<float>(chunk);
    if (tag == "DPTH") file.depths.push_back({value_at<uint32_t>(chunk.data()), {}, {}});
    if (tag == "LAYR") file.depths.back().layers.push_back(layer_of(chunk));
    if (tag == "LOGT") file.depths.back().logits = values<float>(chunk);
  }
  return file;
}

}  // namespace golden

#endif  // BIFAST_TESTS_CPP_GOLDEN_H_
