// Quadratic projection on the permutahedron of a sorted row: what soft sort and soft rank share.
#ifndef FENCHEL_SORTED_CUH
#define FENCHEL_SORTED_CUH

#include "pool.cuh"

namespace fenchel {

// A row read through its order: entry i of the sorted row is x[order[i]], or from the other end.
template <class T>
struct Sorted {
  const T* x;
  const long long* order;
  int n;
  bool descending;

  __device__ long long place(int i) const { return order[descending ? n - 1 - i : i]; }
  __device__ double entry(int i) const { return static_cast<double>(x[place(i)]); }
};

// Isotonic fit of the sorted row against the line of ranks, scaled by the temperature: neighbours are
// pooled where their means differ by less than temperature times the distance of their centres
// (rank), or by more than that distance over the temperature (sort). Both tests are free of divisions,
// so temperature 0 pools nothing.
template <class T>
struct TiltedLoss {
  Sorted<T> row;
  double temperature;
  bool rank;

  __device__ Block single(int i) const { return {i, i, row.entry(i), 0.0}; }
  static __device__ double mean(const Block& block) { return block.a / (block.last - block.first + 1); }
  static __device__ double centre(const Block& block) { return 0.5 * (block.first + block.last); }
  __device__ bool violates(const Block& left, const Block& right) const {
    const double distance = centre(right) - centre(left), rise = fabs(mean(right) - mean(left));
    return rank ? temperature * distance > rise : temperature * rise > distance;
  }
  __device__ Block pool(const Block& left, const Block& right) const {
    return {left.first, right.last, left.a + right.a, 0.0};
  }
};

// Fills blocks (in sorted order) and calls finish(i, block of i) for every sorted position; false where
// the row has no answer: it holds a NaN, or, when sorting, an infinity (which no mean survives).
template <class T, class Finish>
__device__ bool fit_sorted(const Frame<T>& frame, const TiltedLoss<T>& loss, int* blocks,
                           const Finish& finish) {
  const int n = frame.n;
  const Survey row = survey(loss.row.x, n);
  if (row.nan || is_nan(loss.temperature) || (!loss.rank && row.finite < n)) {
    own_index(blocks, n);
    return false;
  }
  Partition partition(frame.scratch(), n);
  pool_violators(partition, loss, n);
  name_blocks(partition, n, blocks);
  __syncthreads();
  for (int i = thread(); i < n; i += threads()) finish(i, partition.load(blocks[i]));
  __syncthreads();
  return true;
}

// Replaces the cotangent by its block means, kept at the place of each block's first entry.
template <class T>
__device__ void block_means(const Sorted<T>& row, const T* g, bool gathered, const int* blocks, T* out) {
  const auto value = [&](int i) { return static_cast<double>(g[gathered ? row.place(i) : i]); };
  for_each_run(row.n, blocks, value, [&](int first, int last, double sum) {
    out[row.place(first)] = static_cast<T>(sum / (last - first + 1));
  });
  __syncthreads();
}

}  // namespace fenchel

#endif
