// Reading bytes that nobody vouches for.
#include "byte_checks.h"

#include <array>

namespace bifast {
namespace {

// tables[k][b]: what byte b does to the checksum when k more bytes follow it in the same step of
// eight.
constexpr std::array<std::array<uint32_t, 256>, 8> make_crc_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0xEDB88320u : 0u);
    tables[0][i] = c;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t c = tables[k - 1][i];
      tables[k][i] = (c >> 8) ^ tables[0][c & 0xFF];
    }
  }
  return tables;
}

constexpr auto kCrcTables = make_crc_tables();

}  // namespace

// Eight bytes a step: the checksum was the larger part of loading a model.
uint32_t crc32(const uint8_t* bytes, size_t n_bytes) {
  uint32_t c = 0xFFFFFFFFu;
  for (; n_bytes >= 8; bytes += 8, n_bytes -= 8) {
    uint32_t next = 0;
    for (size_t i = 0; i < 8; ++i) {
      const uint32_t mixed = i < 4 ? bytes[i] ^ (c >> (8 * i) & 0xFF) : bytes[i];
      next ^= kCrcTables[7 - i][mixed];
    }
    c = next;
  }
  for (; n_bytes > 0; ++bytes, --n_bytes) c = (c >> 8) ^ kCrcTables[0][(c ^ *bytes) & 0xFF];
  return ~c;
}

bool is_utf8(const uint8_t* s, size_t n) {
  for (size_t i = 0; i < n;) {
    const uint8_t lead = s[i];
    const size_t extra = lead < 0x80                   ? 0
                         : lead >= 0xC2 && lead < 0xE0 ? 1
                         : (lead & 0xF0) == 0xE0       ? 2
                         : lead >= 0xF0 && lead < 0xF5 ? 3
                                                       : 4;
    if (extra == 4 || extra >= n - i) return false;
    for (size_t k = 1; k <= extra; ++k) {
      if ((s[i + k] & 0xC0) != 0x80) return false;
    }
    // Overlong forms, surrogates, and what lies past U+10FFFF.
    if (lead == 0xE0 && s[i + 1] < 0xA0) return false;
    if (lead == 0xED && s[i + 1] > 0x9F) return false;
    if (lead == 0xF0 && s[i + 1] < 0x90) return false;
    if (lead == 0xF4 && s[i + 1] > 0x8F) return false;
    i += extra + 1;
  }
  return true;
}

void check_ranges(const uint8_t* bytes, std::vector<Range> ranges, size_t begin, size_t end,
                  const std::string& what) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  const auto expect_zeros = [&](size_t from, size_t to) {
    if (std::any_of(bytes + from, bytes + to, [](uint8_t b) { return b != 0; })) {
      fail_format(what + ": bytes that belong to nothing are not zero");
    }
  };
  size_t at = begin;
  for (const Range& r : ranges) {
    if (r.begin < at) fail_format(what + " overlap");
    expect_zeros(at, r.begin);
    at = r.end;
  }
  expect_zeros(at, end);
}

}  // namespace bifast
