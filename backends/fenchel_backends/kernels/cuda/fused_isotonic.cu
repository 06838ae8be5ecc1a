// Least-squares isotonic fit and its pullback, the mean of the cotangent over each block.
// params: increasing.
#include "pool.cuh"

namespace fenchel {

template <class T>
__device__ void fused_isotonic(const Frame<T>& frame, const T* y, T* fit, int* blocks) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    if (any_nan(y + offset, frame.n)) {
      own_index(blocks + offset, frame.n);
      fill(fit + offset, frame.n, not_a_number());
      continue;
    }
    Partition partition(frame.scratch(), frame.n);
    const double sign = frame.parameters(row)[0] != T(0) ? 1.0 : -1.0;
    pool_violators(partition, SquaredLoss<T>{y + offset, sign}, frame.n);
    name_blocks(partition, frame.n, blocks + offset);
    __syncthreads();
    for (int i = thread(); i < frame.n; i += threads()) {
      const Block block = partition.load(blocks[offset + i]);
      fit[offset + i] = static_cast<T>(SquaredLoss<T>::value(block));
    }
    __syncthreads();
  }
}

template <class T>
__device__ void fused_isotonic_vjp(const Frame<T>& frame, const T* g, const T* y, const T* fit,
                                   const int* blocks, T* gx) {
  (void)y;
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    T* out = gx + offset;
    const int* names = blocks + offset;
    const auto value = [&](int i) { return static_cast<double>(g[offset + i]); };
    for_each_run(frame.n, names, value, [&](int first, int last, double sum) {
      const bool broken = is_nan(static_cast<double>(fit[offset + first]));
      out[first] = static_cast<T>(broken ? not_a_number() : sum / (last - first + 1));
    });
    __syncthreads();
    for (int i = thread(); i < frame.n; i += threads()) {
      if (names[i] != i) out[i] = out[names[i]];
    }
    __syncthreads();
  }
}

}  // namespace fenchel

#define FUSED_ISOTONIC_ARRAYS(T) const T *y, T *fit, int *blocks
#define FUSED_ISOTONIC_VJP_ARRAYS(T) const T *g, const T *y, const T *fit, const int *blocks, T *gx
FENCHEL_EXPORT(fused_isotonic, FUSED_ISOTONIC_ARRAYS, y, fit, blocks)
FENCHEL_EXPORT(fused_isotonic_vjp, FUSED_ISOTONIC_VJP_ARRAYS, g, y, fit, blocks, gx)
