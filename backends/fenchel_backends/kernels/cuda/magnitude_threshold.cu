// Dual threshold of the soft top-k in magnitude; s holds magnitudes. params: k, temperature, p.
#include "magnitude.cuh"

namespace fenchel {

template <class T>
__device__ void magnitude_threshold(const Frame<T>& frame, const T* s, T* threshold) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const double theta = magnitude_root(s + frame.offset(row), frame.n, frame.parameters(row));
    write_once(threshold, row, theta);
  }
}

}  // namespace fenchel

#define MAGNITUDE_THRESHOLD_ARRAYS(T) const T *s, T *threshold
FENCHEL_EXPORT(magnitude_threshold, MAGNITUDE_THRESHOLD_ARRAYS, s, threshold)
