// Elements of two vectors in the order that follows them: Clang and GCC 12 have one function for
// it, older GCC another.
#ifndef BIFAST_SHUFFLE_H_
#define BIFAST_SHUFFLE_H_

#if defined(__clang__) || __GNUC__ >= 12
#define BIFAST_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define BIFAST_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, decltype(a < b){__VA_ARGS__})
#endif

#endif  // BIFAST_SHUFFLE_H_
