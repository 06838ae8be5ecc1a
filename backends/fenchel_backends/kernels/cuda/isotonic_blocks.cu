// Blocks of the least-squares isotonic fit. params: increasing.
#include "pool.cuh"

namespace fenchel {

template <class T>
__device__ void isotonic_blocks(const Frame<T>& frame, const T* y, int* blocks) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const T* entries = y + frame.offset(row);
    int* names = blocks + frame.offset(row);
    if (any_nan(entries, frame.n)) {
      own_index(names, frame.n);
      continue;
    }
    Partition partition(frame.scratch(), frame.n);
    const double sign = frame.parameters(row)[0] != T(0) ? 1.0 : -1.0;
    pool_violators(partition, SquaredLoss<T>{entries, sign}, frame.n);
    name_blocks(partition, frame.n, names);
    __syncthreads();
  }
}

}  // namespace fenchel

#define ISOTONIC_BLOCKS_ARRAYS(T) const T *y, int *blocks
FENCHEL_EXPORT(isotonic_blocks, ISOTONIC_BLOCKS_ARRAYS, y, blocks)
