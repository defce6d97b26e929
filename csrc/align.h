// Sizes of memory that vectors and cache lines like.
#ifndef BIFAST_ALIGN_H_
#define BIFAST_ALIGN_H_

#include <cstddef>
#include <new>
#include <vector>

namespace bifast {

inline constexpr size_t kAlign = 64;

constexpr size_t round_up(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// The next multiple of kAlign.
constexpr size_t align(size_t n_bytes) { return round_up(n_bytes, kAlign); }

// Tables that vectors are read from: one that crosses a cache line takes two loads.
template <typename T>
struct AlignedAllocator {
  using value_type = T;

  AlignedAllocator() = default;
  template <typename U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(size_t n) {
    return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{kAlign}));
  }
  void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t{kAlign}); }
  bool operator==(const AlignedAllocator&) const = default;
};
template <typename T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace bifast

#endif  // BIFAST_ALIGN_H_
