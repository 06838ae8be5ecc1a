// Dykstra's alternating projections for the weighted isotonic fit: pairs (0,1), (2,3), ... and pairs
// (1,2), (3,4), ... in turn, all pairs of a half cycle at once.
// params: max_iter (full cycles), tol, increasing.
#include "scan.cuh"

namespace fenchel {

// Two numbers an entry: the iterate, and the gap that the projection of the pair (i, i+1) closes.
// The correction of the pair is its gap times the shares of its entries, so one number stands for
// Dykstra's two correction vectors, and a pair is active exactly when its gap is positive.
template <class T>
struct Pairs {
  const T* weights;
  int n;
  double sign;
  double *x, *gap;

  // Shares of a gap that the left and the right entry move; equal where neither has weight.
  __device__ void shares(int i, double& left, double& right) const {
    const double a = static_cast<double>(weights[i]), b = static_cast<double>(weights[i + 1]);
    left = a + b > 0.0 ? b / (a + b) : 0.5;
    right = 1.0 - left;
  }
  // Projects the pairs of one parity; the largest move of an entry seen by this thread.
  __device__ double project(int parity) {
    double moved = 0.0;
    for (int i = parity + 2 * thread(); i + 1 < n; i += 2 * threads()) {
      double left, right;
      shares(i, left, right);
      const double before = gap[i], low = x[i] + left * before, high = x[i + 1] - right * before;
      const double now = low - high > 0.0 ? low - high : 0.0;
      x[i] = low - left * now;
      x[i + 1] = high + right * now;
      gap[i] = now;
      moved = larger(moved, fabs(now - before) * larger(left, right));
    }
    __syncthreads();
    return moved;
  }
  __device__ double violation() const {
    double largest = 0.0;
    for (int i = 2 * thread(); i + 1 < n; i += 2 * threads()) largest = larger(largest, x[i] - x[i + 1]);
    return largest;
  }
};

// Cycles until the largest violation and the largest move are below tol; returns the larger of both.
template <class T>
__device__ double cycle(Pairs<T>& pairs, double max_iter, double tol, int& iterations) {
  double residual = infinity();
  const int bound = static_cast<int>(clamp(max_iter, 0.0, 1e9));
  for (iterations = 0; iterations < bound && !(residual < tol); ++iterations) {
    const double even = pairs.project(0), odd = pairs.project(1);
    double largest[1] = {larger(larger(even, odd), pairs.violation())};
    block_max(largest);
    __syncthreads();
    residual = largest[0];
  }
  return residual;
}

template <class T>
__device__ void dykstra(const Frame<T>& frame, const T* y, const T* weights, int* blocks, T* fit,
                        int* iterations, T* residual) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const int n = frame.n;
    const T* params = frame.parameters(row);
    const Survey entries = survey(y + offset, n), loads = survey(weights + offset, n);
    // Means of infinities are NaN, and so is the fit of a row that holds one.
    if (entries.finite + loads.finite < 2.0 * n) {
      own_index(blocks + offset, n);
      fill(fit + offset, n, not_a_number());
      write_once(iterations, row, 0.0);
      write_once(residual, row, not_a_number());
      continue;
    }
    const double sign = params[2] != T(0) ? 1.0 : -1.0;
    Pairs<T> pairs{weights + offset, n, sign, frame.scratch(), frame.scratch() + n};
    for (int i = thread(); i < n; i += threads()) {
      pairs.x[i] = sign * static_cast<double>(y[offset + i]);
      pairs.gap[i] = 0.0;
    }
    __syncthreads();
    int cycles;
    const double left = cycle(pairs, static_cast<double>(params[0]), static_cast<double>(params[1]), cycles);
    write_once(iterations, row, cycles);
    write_once(residual, row, left);
    const double* gap = pairs.gap;
    name_runs(n, [=](int i) { return i == 0 || !(gap[i - 1] > 0.0); }, blocks + offset);
    for (int i = thread(); i < n; i += threads()) fit[offset + i] = static_cast<T>(sign * pairs.x[i]);
    __syncthreads();
  }
}

}  // namespace fenchel

#define DYKSTRA_ARRAYS(T) \
  const T *y, const T *weights, int *blocks, T *fit, int *iterations, T *residual
FENCHEL_EXPORT(dykstra, DYKSTRA_ARRAYS, y, weights, blocks, fit, iterations, residual)
