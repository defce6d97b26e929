"""What holds the figures of x86 that are not reached: instructions, ports, and what was tried.

Bounds are counted from the layers' shapes: a core with AVX-512 starts two 512-bit operations a cycle
(ports 0 and 5), counts bits and moves lanes on port 5 alone, and may not fuse a product with its sum but in the
front-end (docs/exactness.md).
"""

LIMITS = """Where a figure is missed on x86, this holds it:

- **1-bit products, AVX-512.** xor, `vpopcntd` and `vpaddd` share ports 0 and 5: 1.5 cycles for 512 bits, which is
  the ceiling. On top come a `vpcmpud` (port 5) and a `kmov` (port 0) for 16 outputs, and what a layer costs once.
  Tried: lanes of 16 bits with rotated activations (half of the comparisons, but the rotations cost as much); a
  constant depth in place of a loop (kept for 128 bits). Counted, not built: full adders of `vpternlogd` take
  2.5 operations for 3, but the planes that they leave cost that back below some 20 words of depth.
- **The net, full depth.** A block of `bifsmn` has 524,288 products of bits, 1536 cycles at the ceiling. Its memory and
  its last product end in 128 blocks of 16 floats, of some ten operations each (scale, shift, slope, residual, two
  comparisons): five cycles a block where nothing waits. Weights and tables come from the second cache. Tried: asking
  for the next layer's tables before a layer runs (`prefetcht0`): a tenth slower.
- **Half to eighth depth.** What all depths share is what is left: more than half of the eighth depth is the two layers of
  the stem. The first multiplies bytes: 256 positions of 7 `vpdpbusd` for 16 channels, 1792, of which this core starts
  one in two cycles (measured here, in a loop of nothing else), 0.85 us. The second has 1,638,400 operations of bits,
  0.7 us at the ceiling; it gathers patches of 16 channels, half a word, and takes twice that. These two bounds alone are
  more than the 1.4 us that 40 times leave for the whole net. In floats the first layer had 6400 products and as many sums.
- **AVX2.** Two look-ups and two additions for 256 bits; each nibble of activations takes two loads besides, so that
  the front of the pipeline, six instructions a cycle, is the limit: 56 for a byte of depth of 4 x 64 outputs, of
  which 32 are look-ups and additions.
- **Front-end.** A frame of 2048 samples takes some 3400 operations of 512 bits: window and first stage 450, four stages
  of radix 4 with 24 fused ones for each butterfly 1540, moving lanes 640, split and power 500, bands 250. That is 1700
  cycles on two ports; it takes 1.9 times that, AVX2 with half the lanes 1.2 times its 3400. A butterfly in the first cache,
  12 cycles on two ports, takes 16 without its stores, eight of 512 bits, and 19.5 with them; the rest is in the order
  of loads. Tried: leaving the loads to GCC (it repeats them: a seventh slower), loads in place of copies of
  registers (no gain), rows of the FFT at other distances (no gain).
- **A second with a faster front-end.** `bifast-kws` has 40 million operations of bits: 17.6 us at the ceiling, where its
  3 x 3 layers reach 60 to 79 %. With the layers of bytes, the pooling and the front-end as measured that would be
  34 us, so no product of this kind brings it to 20 times; a smaller net or AMX for it would.
"""
