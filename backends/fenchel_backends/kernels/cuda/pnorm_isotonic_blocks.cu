// Isotonic fit that minimises sum weights |y - v|^p / p: blocks and values. params: p, increasing.
#include "pool.cuh"
#include "root.cuh"

namespace fenchel {

// Derivative of the loss of a range of entries in minus v, seen by one thread.
template <class T>
struct PnormSlope : Additive {
  const T *y, *weights;
  int first, last;
  double p;

  __device__ Slope operator()(double v) const {
    double value = 0.0, slope = 0.0;
    for (int i = first; i <= last; ++i) {
      const double weight = static_cast<double>(weights[i]), d = static_cast<double>(y[i]) - v;
      if (!(weight > 0.0) || d == 0.0) continue;
      const double curvature = weight * power(fabs(d), p - 2.0);
      value += curvature * d;
      slope -= (p - 1.0) * curvature;
    }
    return {value, slope};
  }
};

// a = value of the block, b = its weight. The value of a pool lies between those of its parts.
template <class T>
struct PnormLoss {
  const T *y, *weights;
  double p, sign;

  __device__ Block single(int i) const {
    return {i, i, static_cast<double>(y[i]), static_cast<double>(weights[i])};
  }
  __device__ bool violates(const Block& left, const Block& right) const {
    return left.b == 0.0 || right.b == 0.0 || sign * (left.a - right.a) > 0.0;
  }
  __device__ Block pool(const Block& left, const Block& right) const {
    const double weight = left.b + right.b;
    Block pooled = {left.first, right.last, left.b == 0.0 ? right.a : left.a, weight};
    if (left.b == 0.0 || right.b == 0.0 || left.a == right.a) return pooled;
    const double mean = left.a + (right.a - left.a) * (right.b / weight);
    if (!is_finite(mean)) {
      pooled.a = left.a + right.a;  // an infinite part rules; two opposite ones have no value
      return pooled;
    }
    const double low = smaller(left.a, right.a), high = larger(left.a, right.a);
    const PnormSlope<T> slope{{}, y, weights, left.first, right.last, p};
    const double scale = weight * power(high - low, p - 1.0);
    pooled.a = p == 2.0 ? mean : decreasing_root(slope, low, high, mean, scale);
    return pooled;
  }
};

template <class T>
__device__ void pnorm_isotonic_blocks(const Frame<T>& frame, const T* y, const T* weights, int* blocks,
                                      T* fit) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const T* params = frame.parameters(row);
    const bool nan_entry = any_nan(y + offset, frame.n);
    const bool nan_weight = any_nan(weights + offset, frame.n);
    if (nan_entry || nan_weight || is_nan(static_cast<double>(params[0]))) {
      own_index(blocks + offset, frame.n);
      fill(fit + offset, frame.n, not_a_number());
      continue;
    }
    Partition partition(frame.scratch(), frame.n);
    const double sign = params[1] != T(0) ? 1.0 : -1.0;
    const PnormLoss<T> loss{y + offset, weights + offset, static_cast<double>(params[0]), sign};
    pool_violators(partition, loss, frame.n);
    name_blocks(partition, frame.n, blocks + offset);
    __syncthreads();
    for (int i = thread(); i < frame.n; i += threads()) {
      fit[offset + i] = static_cast<T>(partition.a[blocks[offset + i]]);
    }
    __syncthreads();
  }
}

}  // namespace fenchel

#define PNORM_ISOTONIC_BLOCKS_ARRAYS(T) const T *y, const T *weights, int *blocks, T *fit
FENCHEL_EXPORT(pnorm_isotonic_blocks, PNORM_ISOTONIC_BLOCKS_ARRAYS, y, weights, blocks, fit)
