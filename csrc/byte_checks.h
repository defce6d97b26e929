// Reading bytes that nobody vouches for: bounds, checksums, gaps and text.
#ifndef BIFAST_BYTE_CHECKS_H_
#define BIFAST_BYTE_CHECKS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "error.h"

namespace bifast {

// CRC-32 as zlib has it.
uint32_t crc32(const uint8_t* bytes, size_t n_bytes);

bool is_utf8(const uint8_t* s, size_t n);

// A range of the file being read field by field; running past its end is an error.
class Fields {
 public:
  Fields(const uint8_t* bytes, size_t n_bytes, std::string what)
      : bytes_(bytes), left_(n_bytes), what_(std::move(what)) {}

  template <typename T>
  T take() {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take_bytes(sizeof(T)), sizeof(T));  // the targets are little-endian
    return value;
  }
  uint32_t u32() { return take<uint32_t>(); }
  const uint8_t* take_bytes(size_t n) {
    if (n > left_) fail_format(what_ + ": ends too early");
    const uint8_t* at = bytes_;
    bytes_ += n;
    left_ -= n;
    return at;
  }
  void take_zeros(size_t n) {
    const uint8_t* at = take_bytes(n);
    if (std::any_of(at, at + n, [](uint8_t b) { return b != 0; })) {
      fail_format(what_ + ": reserved bytes are not zero");
    }
  }

 private:
  const uint8_t* bytes_;
  size_t left_;
  std::string what_;
};

struct Range {
  size_t begin, end;
};

// Ranges of [begin, end) must not overlap, and what lies between them is zero.
void check_ranges(const uint8_t* bytes, std::vector<Range> ranges, size_t begin, size_t end,
                  const std::string& what);

}  // namespace bifast

#endif  // BIFAST_BYTE_CHECKS_H_
