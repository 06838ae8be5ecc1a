// Stable sort of a row of small integers, and the rank of each entry among its equals.
// params: number of values. Each thread serves its own values, in two walks over the row: the first
// counts the entries before its run, the second fills it. The threads of a warp read one entry at a
// time together.
#include "block.cuh"

namespace fenchel {

template <class T>
__device__ int value_at(const T* entries, int i, int values) {
  const double v = entries[i];
  return v < 1.0 ? 0 : (v < values ? static_cast<int>(v) : values - 1);
}

template <class T>
__device__ void sorted_by_expert(const Frame<T>& frame, const T* experts, int* order,
                                 int* position) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const T* entries = experts + frame.offset(row);
    int *sorted = order + frame.offset(row), *rank = position + frame.offset(row);
    if (any_nan(entries, frame.n)) {
      own_index(sorted, frame.n);
      own_index(rank, frame.n);
      continue;
    }
    const int values = static_cast<int>(larger(frame.parameters(row)[0], 1.0));
    for (int own = thread(); own < values; own += threads()) {
      int start = 0, count = 0;
      for (int i = 0; i < frame.n; ++i) start += value_at(entries, i, values) < own;
      for (int i = 0; i < frame.n; ++i) {
        if (value_at(entries, i, values) != own) continue;
        sorted[start + count] = i;
        rank[i] = count++;
      }
    }
    __syncthreads();
  }
}

}  // namespace fenchel

#define SORTED_BY_EXPERT_ARRAYS(T) const T *experts, int *order, int *position
FENCHEL_EXPORT(sorted_by_expert, SORTED_BY_EXPERT_ARRAYS, experts, order, position)
