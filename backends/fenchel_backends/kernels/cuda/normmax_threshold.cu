// Threshold of normmax: sum (x - tau)_+^(alpha / (alpha - 1)) = 1. params: alpha.
#include "simplex.cuh"

namespace fenchel {

template <class T>
__device__ void normmax_threshold(const Frame<T>& frame, const T* x, T* threshold) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const Threshold tau = normmax_root(x + frame.offset(row), frame.n, frame.parameters(row));
    write_once(threshold, row, tau.sum());
  }
}

}  // namespace fenchel

#define NORMMAX_THRESHOLD_ARRAYS(T) const T *x, T *threshold
FENCHEL_EXPORT(normmax_threshold, NORMMAX_THRESHOLD_ARRAYS, x, threshold)
