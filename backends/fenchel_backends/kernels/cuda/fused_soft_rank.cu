// Soft rank (ascending, the largest entry gets n) and its pullback. order: ascending argsort of x.
// params: temperature.
#include "sorted.cuh"

namespace fenchel {

template <class T>
__device__ void fused_soft_rank(const Frame<T>& frame, const T* x, const long long* order, T* rank,
                                int* blocks) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const double temperature = static_cast<double>(frame.parameters(row)[0]);
    const Sorted<T> sorted{x + offset, order + offset, frame.n, false};
    const TiltedLoss<T> loss{sorted, temperature, true};
    T* out = rank + offset;
    const Survey seen = survey(x + offset, frame.n);
    const double below = frame.n - seen.finite - seen.infinite;  // entries of -inf
    const bool fitted = fit_sorted(frame, loss, blocks + offset, [&](int i, const Block& block) {
      const double entry = sorted.entry(i);
      if (!is_finite(entry)) {  // first or last: the mean place of its kind
        const double place = entry < 0.0 ? 0.5 * (below + 1.0) : frame.n - 0.5 * (seen.infinite - 1.0);
        out[sorted.place(i)] = static_cast<T>(place);
        return;
      }
      const double above = entry - loss.mean(block);
      const double tilt = block.first == block.last || above == 0.0 ? 0.0 : above / temperature;
      out[sorted.place(i)] = static_cast<T>(1.0 + loss.centre(block) + tilt);
    });
    if (!fitted) fill(out, frame.n, not_a_number());
  }
}

// gx = (g - mean of g over the block) / temperature, in sorted order.
template <class T>
__device__ void fused_soft_rank_vjp(const Frame<T>& frame, const T* g, const T* x, const long long* order,
                                    const T* rank, const int* blocks, T* gx) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const double temperature = static_cast<double>(frame.parameters(row)[0]);
    const Sorted<T> sorted{x + offset, order + offset, frame.n, false};
    const int* names = blocks + offset;
    T* out = gx + offset;
    if (is_nan(static_cast<double>(rank[offset]))) {
      fill(out, frame.n, not_a_number());
      continue;
    }
    block_means(sorted, g + offset, true, names, out);
    const auto pulled = [&](int i) {
      const long long place = sorted.place(i);
      const double mean = static_cast<double>(out[sorted.place(names[i])]);
      const bool alone = names[i] == i && (i == frame.n - 1 || names[i + 1] != i);
      return static_cast<T>(alone ? 0.0 : (static_cast<double>(g[offset + place]) - mean) / temperature);
    };
    for (int i = thread(); i < frame.n; i += threads()) {
      if (names[i] != i) out[sorted.place(i)] = pulled(i);
    }
    __syncthreads();  // the means are read above and overwritten below
    for (int i = thread(); i < frame.n; i += threads()) {
      if (names[i] == i) out[sorted.place(i)] = pulled(i);
    }
    __syncthreads();
  }
}

}  // namespace fenchel

#define FUSED_SOFT_RANK_ARRAYS(T) const T *x, const long long *order, T *rank, int *blocks
#define FUSED_SOFT_RANK_VJP_ARRAYS(T) \
  const T *g, const T *x, const long long *order, const T *rank, const int *blocks, T *gx
FENCHEL_EXPORT(fused_soft_rank, FUSED_SOFT_RANK_ARRAYS, x, order, rank, blocks)
FENCHEL_EXPORT(fused_soft_rank_vjp, FUSED_SOFT_RANK_VJP_ARRAYS, g, x, order, rank, blocks, gx)
