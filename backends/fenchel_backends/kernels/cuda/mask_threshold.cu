// Threshold of the soft top-k mask. params: k, temperature, q.
#include "mask.cuh"

namespace fenchel {

template <class T>
__device__ void mask_threshold(const Frame<T>& frame, const T* x, T* threshold) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const Threshold tau = mask_root(x + frame.offset(row), frame.n, frame.parameters(row));
    write_once(threshold, row, tau.sum());
  }
}

}  // namespace fenchel

#define MASK_THRESHOLD_ARRAYS(T) const T *x, T *threshold
FENCHEL_EXPORT(mask_threshold, MASK_THRESHOLD_ARRAYS, x, threshold)
