// Four rows of activations times groups of 32 channels to bits: tiles of neon.cpp, in the order in
// which a core that does nothing out of order can issue a vector operation in each cycle.
//
// A tile is 4 rows x 4 channels. Tile i of a group has channels i, 8 + i, 16 + i, 24 + i: its 16
// results, compared with their limits and moved in behind those of the tiles before (sri), end as
// bit i of 16 bytes, which are four bytes of bits for each row, in order. Nothing is left to pack.
//
// Vector operations of a tile: eor and cnt of 16 vectors for each block of 128 bits, add from the
// second block on, 15 to end a tile of one block (17 with comparison and sri), 19 of two: 49 / 16
// and 99 / 32 a block. The end's last levels wait for one another: they are issued among the next
// tile's first operations, six apart. Loads of four registers, and scalar instructions together,
// stand where Cortex-A53 has a cycle to wait for neither.
//
// Registers: 0-3 activations, 4-7 weights, 8-23 counts, 24-27 temporaries and the end, 28-29
// temporaries and limits, 30-31 the bits so far, by turns. Assembly, because compilers reorder
// intrinsics, and spill.
#ifndef BIFAST_KERNELS_NEON_TILES_H_
#define BIFAST_KERNELS_NEON_TILES_H_

#include <cstddef>
#include <cstdint>

namespace bifast {
namespace {

struct Tiles {
  const uint8_t* a;       // [rows / 4][blocks, of more than two the first once more][4 rows][16]
  const uint8_t* panel;   // whole groups, and kPanelSlack bytes
  const uint8_t* limits;  // [tile][32 bytes]: 16 u8 and nothing if there is one block, else 16 u16
  size_t rows, blocks, groups;
  // [1 + rows / 4 * groups][4 rows][4], of which the first is not used; 1: count > limit.
  uint8_t* bits;
};

inline constexpr size_t kMostBlocks = 7;

// clang-format off: lines of assembly

#define XOR(d, a, w) "eor v" #d ".16b, v" #a ".16b, v" #w ".16b\n"
#define CNT(d) "cnt v" #d ".16b, v" #d ".16b\n"
#define ADD(d, s) "add v" #d ".16b, v" #d ".16b, v" #s ".16b\n"
#define PAIR(d, a, b) "addp v" #d ".16b, v" #a ".16b, v" #b ".16b\n"
#define PAIR16(d, a, b) "addp v" #d ".8h, v" #a ".8h, v" #b ".8h\n"
#define WIDE(d) "uaddlp v" #d ".8h, v" #d ".16b\n"
#define LOAD(first, last, from) "ld1 {v" #first ".16b-v" #last ".16b}, [%[" #from "]]\n"
// x15: the second block's activations.
#define LOAD_NEXT "ld1 {v0.16b-v3.16b}, [x15]\n"
#define STEP(pointer, n) "add %[" #pointer "], %[" #pointer "], #" #n "\n"

// The first block of a tile. E0 .. E5: the end of the tile before. A, W: loads for the next block.
#define FIRST(...) FIRST_OF(__VA_ARGS__)
#define FIRST_OF(E0, E1, E2, E3, E4, E5, A, W)                                            \
  XOR(8, 0, 4) XOR(9, 0, 5) E0                                                            \
  XOR(10, 0, 6) XOR(11, 0, 7) XOR(12, 1, 4) XOR(13, 1, 5) XOR(14, 1, 6) XOR(15, 1, 7) E1  \
  XOR(16, 2, 4) XOR(17, 2, 5) XOR(18, 2, 6) XOR(19, 2, 7) XOR(20, 3, 4) XOR(21, 3, 5) E2  \
  XOR(22, 3, 6) XOR(23, 3, 7) A CNT(8) CNT(9) CNT(10) CNT(11) W E3                        \
  CNT(12) CNT(13) CNT(14) CNT(15) CNT(16) CNT(17) E4                                      \
  CNT(18) CNT(19) CNT(20) CNT(21) CNT(22) CNT(23) E5

// Another block, all but its last additions.
#define NEXT(A, W)                                                                        \
  XOR(24, 0, 4) XOR(25, 0, 5) XOR(26, 0, 6) XOR(27, 0, 7) XOR(28, 1, 4) XOR(29, 1, 5)     \
  CNT(24) CNT(25) CNT(26) CNT(27) CNT(28) CNT(29)                                         \
  ADD(8, 24) XOR(24, 1, 6) ADD(9, 25) XOR(25, 1, 7) ADD(10, 26) XOR(26, 2, 4)             \
  ADD(11, 27) XOR(27, 2, 5) ADD(12, 28) XOR(28, 2, 6) ADD(13, 29) XOR(29, 2, 7)           \
  CNT(24) CNT(25) CNT(26) CNT(27) CNT(28) CNT(29)                                         \
  ADD(14, 24) XOR(24, 3, 4) ADD(15, 25) XOR(25, 3, 5) ADD(16, 26) XOR(26, 3, 6)           \
  ADD(17, 27) XOR(27, 3, 7) A ADD(18, 28) ADD(19, 29)                                     \
  CNT(24) CNT(25) CNT(26) CNT(27) W
#define LAST_ADDITIONS ADD(20, 24) ADD(21, 25) ADD(22, 26) ADD(23, 27)

// The first level of additions within the counts, and half of the second; E0 is its other half.
#define HALVE_SOME PAIR(8, 8, 9) PAIR(10, 10, 11)
#define HALVE_REST                                                                        \
  PAIR(12, 12, 13) PAIR(14, 14, 15) PAIR(16, 16, 17) PAIR(18, 18, 19) PAIR(20, 20, 21)    \
  PAIR(22, 22, 23) PAIR(24, 8, 10) PAIR(25, 12, 14)

// What is left of a tile then, as E0 .. E4 or E5. One block: its counts fit u8. More: u16, of which
// the high byte of limit - count is kept, that has the answer in its first bit too.
#define SECOND_HALF PAIR(26, 16, 18) PAIR(27, 20, 22)
#define COMPARE_LOW(to) "subhn v" #to ".8b, v28.8h, v24.8h\n"
#define COMPARE_HIGH(to) "subhn2 v" #to ".16b, v29.8h, v26.8h\n"
#define SHIFT_IN(to, from) "sri v" #to ".16b, v" #from ".16b, #1\n"
#define END_OF_1(to, from)                                                                \
  SECOND_HALF, PAIR(24, 24, 25) PAIR(26, 26, 27), PAIR(24, 24, 26),                       \
  "cmhi v" #to ".16b, v24.16b, v28.16b\n", SHIFT_IN(to, from)
#define END_OF_2(to, from) /* sums of 8 bytes fit u8: 2 * 8 * 8 = 128 */                  \
  SECOND_HALF, PAIR(24, 24, 25) PAIR(26, 26, 27), WIDE(24) WIDE(26),                      \
  COMPARE_LOW(to), COMPARE_HIGH(to), SHIFT_IN(to, from)
#define END_OF_7(to, from) /* sums of 4 bytes: 7 * 8 * 4 = 224 */                         \
  SECOND_HALF, WIDE(24) WIDE(25) WIDE(26) WIDE(27),                                       \
  PAIR16(24, 24, 25) PAIR16(26, 26, 27),                                                  \
  COMPARE_LOW(to), COMPARE_HIGH(to), SHIFT_IN(to, from)

// Whole tiles; the bits so far are in v<from>, and go on in v<to>. The weights after the last tile
// are loaded too: kPanelSlack.
#define LIMIT(i) "ldr q28, [%[limits], #32 * " #i "]\n"
#define LIMITS(i) "ldp q28, q29, [%[limits], #32 * " #i "]\n"
#define TILE_OF_1(i, to, from, W)                                                         \
  FIRST(END_OF_1(to, from), LIMIT(i), W, "") HALVE_SOME HALVE_REST
#define TILE_OF_2(i, to, from)                                                            \
  FIRST(END_OF_2(to, from), LOAD_NEXT, LOAD(4, 7, w1))                                    \
  NEXT(LOAD(0, 3, a), LOAD(4, 7, w0) STEP(w0, 128) STEP(w1, 128))                         \
  HALVE_SOME LAST_ADDITIONS HALVE_REST LIMITS(i)
#define TILE_OF_7(i, to, from)                                                            \
  FIRST(END_OF_7(to, from), LOAD_NEXT,                                                    \
        LOAD(4, 7, w0) STEP(w0, 64) "add x16, x15, #64\nmov x17, %[more]\n")              \
  "3:\n" NEXT("ld1 {v0.16b-v3.16b}, [x16]\n",                                             \
              LOAD(4, 7, w0) STEP(w0, 64) "add x16, x16, #64\n")                          \
  LAST_ADDITIONS "subs x17, x17, #1\nb.ne 3b\n" HALVE_SOME HALVE_REST LIMITS(i)

// A group's bits are complete in v30 when its last tile has ended, after the next group's first.
#define STORE "str q30, [%[bits]], #16\n"
#define NEXT_GROUP STEP(limits, 256) "subs %[left], %[left], #1\nb.ne 2b\n"
#define GROUPS_OF_8(TILE)                                                                 \
  "2:\n" TILE(0, 30, 31) STORE TILE(1, 31, 30) TILE(2, 30, 31) TILE(3, 31, 30)            \
  TILE(4, 30, 31) TILE(5, 31, 30) TILE(6, 30, 31) TILE(7, 31, 30) NEXT_GROUP
#define ROWS(first, second)                                                               \
  "1:\n" LOAD(0, 3, a) LOAD(4, 7, panel)                                                  \
  "add %[w0], %[panel], #" #first "\nadd %[w1], %[panel], #" #second "\n"                 \
  "add x15, %[a], #64\nmov %[limits], %[all_limits]\nmov %[left], %[groups]\n"
#define NEXT_ROWS "add %[a], %[a], %[rows_step]\nsubs %[rows], %[rows], #4\nb.ne 1b\n"
#define FINISH(...) FINISH_OF(__VA_ARGS__)
#define FINISH_OF(E0, E1, E2, E3, E4, E5) E0 E1 E2 E3 E4 E5 STORE
#define RUN(code)                                                                         \
  const uint8_t *a = t.a, *w0, *w1, *limits;                                              \
  uint8_t* bits = t.bits;                                                                 \
  size_t rows = t.rows, left;                                                             \
  asm volatile(code                                                                       \
      : [w0] "=&r"(w0), [w1] "=&r"(w1), [limits] "=&r"(limits), [left] "=&r"(left),       \
        [a] "+r"(a), [bits] "+r"(bits), [rows] "+r"(rows)                                 \
      : [panel] "r"(t.panel), [all_limits] "r"(t.limits), [groups] "r"(t.groups),         \
        [more] "r"(t.blocks - 1), [rows_step] "r"(64 * (t.blocks + (t.blocks > 2)))       \
      : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",  \
        "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",      \
        "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "x15", "x16", "x17",      \
        "memory", "cc")

// With one block, tiles take their weights by turns from two pointers, 64 bytes apart.
#define EVEN_TILE(i) TILE_OF_1(i, 30, 31, LOAD(4, 7, w0))
#define ODD_TILE(i) TILE_OF_1(i, 31, 30, LOAD(4, 7, w1) STEP(w0, 128) STEP(w1, 128))

[[gnu::noinline]] void tiles_of_1(const Tiles& t) {
  RUN(ROWS(64, 128)
      "2:\n" EVEN_TILE(0) STORE ODD_TILE(1) EVEN_TILE(2) ODD_TILE(3)
      EVEN_TILE(4) ODD_TILE(5) EVEN_TILE(6) ODD_TILE(7) NEXT_GROUP
      NEXT_ROWS FINISH(END_OF_1(30, 31), ""));
}

[[gnu::noinline]] void tiles_of_2(const Tiles& t) {
  RUN(ROWS(128, 64) GROUPS_OF_8(TILE_OF_2) NEXT_ROWS FINISH(END_OF_2(30, 31)));
}

[[gnu::noinline]] void tiles_of_7(const Tiles& t) {
  RUN(ROWS(64, 64) GROUPS_OF_8(TILE_OF_7) NEXT_ROWS FINISH(END_OF_7(30, 31)));
}

#undef XOR
#undef CNT
#undef ADD
#undef PAIR
#undef PAIR16
#undef WIDE
#undef LOAD
#undef LOAD_NEXT
#undef STEP
#undef FIRST
#undef FIRST_OF
#undef NEXT
#undef LAST_ADDITIONS
#undef HALVE_SOME
#undef HALVE_REST
#undef SECOND_HALF
#undef COMPARE_LOW
#undef COMPARE_HIGH
#undef SHIFT_IN
#undef END_OF_1
#undef END_OF_2
#undef END_OF_7
#undef LIMIT
#undef LIMITS
#undef TILE_OF_1
#undef TILE_OF_2
#undef TILE_OF_7
#undef STORE
#undef NEXT_GROUP
#undef GROUPS_OF_8
#undef ROWS
#undef NEXT_ROWS
#undef FINISH
#undef FINISH_OF
#undef RUN
#undef EVEN_TILE
#undef ODD_TILE
// clang-format on

// rows: a multiple of 4; blocks <= kMostBlocks.
template <size_t kBlocks>
inline void run_tiles(const Tiles& tiles) {
  if constexpr (kBlocks == 1) {
    tiles_of_1(tiles);
  } else if constexpr (kBlocks == 2) {
    tiles_of_2(tiles);
  } else {
    tiles_of_7(tiles);
  }
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_NEON_TILES_H_
