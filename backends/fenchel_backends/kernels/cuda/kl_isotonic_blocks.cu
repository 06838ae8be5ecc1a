// Blocks of the entropic isotonic fit, whose blocks have the value lse(y) - lse(w).
// params: increasing.
#include "pool.cuh"

namespace fenchel {

__device__ inline double log_add_exp(double a, double b) {
  const double high = larger(a, b), low = smaller(a, b);
  return is_finite(low) ? high + log1p(exp(low - high)) : high;
}

// a = lse of y, b = lse of w: sums stay in the log domain, so nothing overflows.
template <class T>
struct EntropicLoss {
  const T *y, *w;
  double sign;

  __device__ Block single(int i) const {
    return {i, i, static_cast<double>(y[i]), static_cast<double>(w[i])};
  }
  __device__ bool violates(const Block& left, const Block& right) const {
    return sign * (left.a - left.b) > sign * (right.a - right.b);
  }
  __device__ Block pool(const Block& left, const Block& right) const {
    return {left.first, right.last, log_add_exp(left.a, right.a), log_add_exp(left.b, right.b)};
  }
};

template <class T>
__device__ void kl_isotonic_blocks(const Frame<T>& frame, const T* y, const T* w, int* blocks) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const bool nan_y = any_nan(y + offset, frame.n), nan_w = any_nan(w + offset, frame.n);
    if (nan_y || nan_w) {
      own_index(blocks + offset, frame.n);
      continue;
    }
    Partition partition(frame.scratch(), frame.n);
    const double sign = frame.parameters(row)[0] != T(0) ? 1.0 : -1.0;
    pool_violators(partition, EntropicLoss<T>{y + offset, w + offset, sign}, frame.n);
    name_blocks(partition, frame.n, blocks + offset);
    __syncthreads();
  }
}

}  // namespace fenchel

#define KL_ISOTONIC_BLOCKS_ARRAYS(T) const T *y, const T *w, int *blocks
FENCHEL_EXPORT(kl_isotonic_blocks, KL_ISOTONIC_BLOCKS_ARRAYS, y, w, blocks)
