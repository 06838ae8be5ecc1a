// Pools adjacent violators of a row, bottom up and in parallel.
//
// Pooling may happen in any order (the losses of blocks are convex), so the row is solved in segments
// of 1, 2, 4, ... entries: a round joins neighbouring segments, one thread a joint, and there are
// log2(n) rounds. A joint pools outwards from the boundary until nothing violates. Each pooling
// removes a block, so the work is O(n) in total; a joint that swallows long solved segments one block
// at a time (sawtooth data) is the sequential worst case.
#ifndef FENCHEL_POOL_CUH
#define FENCHEL_POOL_CUH

#include "scan.cuh"

namespace fenchel {

// Entries first..last, and up to two numbers that the loss keeps about them.
struct Block {
  int first, last;
  double a, b;
};

// Blocks of a row in scratch, 3 doubles an entry: numbers and last index at the first entry of a block,
// first index at its last entry. A first index that was absorbed has last index -1.
struct Partition {
  double *a, *b;
  int *first, *last;

  __device__ Partition(double* work, int n)
      : a(work), b(work + n), first(reinterpret_cast<int*>(work + 2LL * n)), last(first + n) {}
  __device__ Block load(int start) const { return {start, last[start], a[start], b[start]}; }
  __device__ void store(const Block& block) {
    a[block.first] = block.a;
    b[block.first] = block.b;
    last[block.first] = block.last;
    first[block.last] = block.first;
  }
  __device__ bool opens(int i) const { return last[i] >= 0; }
};

// Joins the segments begin..boundary-1 and boundary..end-1, both free of violations.
template <class Loss>
__device__ void join(Partition& blocks, const Loss& loss, int begin, int boundary, int end) {
  Block left = blocks.load(blocks.first[boundary - 1]), right = blocks.load(boundary);
  if (!loss.violates(left, right)) return;
  Block pooled = loss.pool(left, right);
  blocks.last[right.first] = -1;
  for (;;) {
    if (pooled.first > begin) {
      left = blocks.load(blocks.first[pooled.first - 1]);
      if (loss.violates(left, pooled)) {
        blocks.last[pooled.first] = -1;
        pooled = loss.pool(left, pooled);
        continue;
      }
    }
    if (pooled.last + 1 >= end) break;
    right = blocks.load(pooled.last + 1);
    if (!loss.violates(pooled, right)) break;
    blocks.last[right.first] = -1;
    pooled = loss.pool(pooled, right);
  }
  blocks.store(pooled);
}

// Blocks of the isotonic fit; `loss` has single(i), violates(left, right) and pool(left, right).
template <class Loss>
__device__ void pool_violators(Partition& blocks, const Loss& loss, int n) {
  for (int i = thread(); i < n; i += threads()) blocks.store(loss.single(i));
  __syncthreads();
  for (long long width = 1; width < n; width *= 2) {
    for (long long begin = 2 * width * thread(); begin + width < n; begin += 2 * width * threads()) {
      const long long end = begin + 2 * width < n ? begin + 2 * width : n;
      join(blocks, loss, static_cast<int>(begin), static_cast<int>(begin + width),
           static_cast<int>(end));
    }
    __syncthreads();
  }
}

__device__ inline void name_blocks(const Partition& partition, int n, int* blocks) {
  name_runs(n, [&](int i) { return partition.opens(i); }, blocks);
}

// Least squares: a = sum of entries, and their number follows from the ends. Means are compared by
// cross-multiplication, exact for small integers, so that ties stay apart.
template <class T>
struct SquaredLoss {
  const T* y;
  double sign;  // +1: increasing fit, -1: decreasing

  __device__ Block single(int i) const { return {i, i, static_cast<double>(y[i]), 0.0}; }
  static __device__ double count(const Block& block) {
    return static_cast<double>(block.last - block.first + 1);
  }
  __device__ bool violates(const Block& left, const Block& right) const {
    return sign * (left.a * count(right)) > sign * (right.a * count(left));
  }
  __device__ Block pool(const Block& left, const Block& right) const {
    return {left.first, right.last, left.a + right.a, 0.0};
  }
  static __device__ double value(const Block& block) { return block.a / count(block); }
};

}  // namespace fenchel

#endif
