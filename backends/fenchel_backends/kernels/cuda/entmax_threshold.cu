// Threshold of alpha-entmax: sum exp_alpha(x - t) = 1. params: alpha.
#include "simplex.cuh"

namespace fenchel {

template <class T>
__device__ void entmax_threshold(const Frame<T>& frame, const T* x, T* threshold) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const Threshold t = entmax_root(x + frame.offset(row), frame.n, frame.parameters(row));
    write_once(threshold, row, t.sum());
  }
}

}  // namespace fenchel

#define ENTMAX_THRESHOLD_ARRAYS(T) const T *x, T *threshold
FENCHEL_EXPORT(entmax_threshold, ENTMAX_THRESHOLD_ARRAYS, x, threshold)
