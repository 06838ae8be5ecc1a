// Blocks of the weighted least-squares isotonic fit. params: increasing.
#include "pool.cuh"

namespace fenchel {

// a = sum of weights * y, b = sum of weights. A block without weight has no value of its own: it
// joins whatever neighbour it meets first, which keeps the fit monotone.
template <class T>
struct WeightedLoss {
  const T *y, *weights;
  double sign;

  __device__ Block single(int i) const {
    const double weight = static_cast<double>(weights[i]);
    return {i, i, weight > 0.0 ? weight * static_cast<double>(y[i]) : 0.0, weight};
  }
  __device__ bool violates(const Block& left, const Block& right) const {
    if (left.b == 0.0 || right.b == 0.0) return true;
    return sign * (left.a * right.b) > sign * (right.a * left.b);
  }
  __device__ Block pool(const Block& left, const Block& right) const {
    return {left.first, right.last, left.a + right.a, left.b + right.b};
  }
};

template <class T>
__device__ void weighted_isotonic_blocks(const Frame<T>& frame, const T* y, const T* weights,
                                         int* blocks) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const bool nan_entry = any_nan(y + offset, frame.n);
    const bool nan_weight = any_nan(weights + offset, frame.n);
    if (nan_entry || nan_weight) {
      own_index(blocks + offset, frame.n);
      continue;
    }
    Partition partition(frame.scratch(), frame.n);
    const double sign = frame.parameters(row)[0] != T(0) ? 1.0 : -1.0;
    pool_violators(partition, WeightedLoss<T>{y + offset, weights + offset, sign}, frame.n);
    name_blocks(partition, frame.n, blocks + offset);
    __syncthreads();
  }
}

}  // namespace fenchel

#define WEIGHTED_ISOTONIC_BLOCKS_ARRAYS(T) const T *y, const T *weights, int *blocks
FENCHEL_EXPORT(weighted_isotonic_blocks, WEIGHTED_ISOTONIC_BLOCKS_ARRAYS, y, weights, blocks)
