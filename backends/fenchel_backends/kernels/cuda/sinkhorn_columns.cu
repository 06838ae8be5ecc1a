// Column potentials of Sinkhorn's iteration in the log domain, a matrix (n, m) a block.
// params: tol, max_iter.
#include "block.cuh"

namespace fenchel {

// Log marginal - log sum exp(height(i)), 0 where all heights are -inf.
template <class Height>
__device__ double balanced(const Height& height, int count, double log_marginal) {
  double top = -infinity(), total = 0.0;
  for (int i = 0; i < count; ++i) top = larger(top, height(i));
  if (top == -infinity()) return 0.0;
  for (int i = 0; i < count; ++i) total += exp(height(i) - top);
  return log_marginal - (log(total) + top);
}

template <class T>
__device__ bool any_unknown(const T* x, int n) {
  bool found = false;
  for (int i = thread(); i < n; i += threads()) {
    found = found || !(static_cast<double>(x[i]) < infinity());
  }
  return block_any(found);
}

template <class T>
struct Problem {
  const T *z, *log_a, *log_b;
  int n, m;
  double *u, *v;

  // New potentials of the columns; whether one moved by more than `tol`.
  __device__ bool move_columns(double tol) const {
    bool moved = false;
    for (int j = thread(); j < m; j += threads()) {
      const auto height = [&](int i) {
        return static_cast<double>(z[static_cast<long long>(i) * m + j]) + u[i];
      };
      const double value = balanced(height, n, log_b[j]);
      moved = moved || fabs(value - v[j]) > tol;
      v[j] = value;
    }
    const bool any = block_any(moved);
    __syncthreads();
    return any;
  }
  __device__ void move_rows() const {
    for (int i = thread(); i < n; i += threads()) {
      const T* row = z + static_cast<long long>(i) * m;
      u[i] = balanced([&](int j) { return static_cast<double>(row[j]) + v[j]; }, m, log_a[i]);
    }
    __syncthreads();
  }
};

template <class T>
__device__ void sinkhorn_columns(const Frame<T>& frame, const T* z, const T* u, const T* log_a,
                                 const T* log_b, int m, T* v) {
  const int n = frame.n / m;
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    double* potentials = frame.scratch();
    const Problem<T> problem = {z + frame.offset(row), log_a + row * n, log_b + row * m, n, m,
                                potentials,            potentials + n};
    const T *start = u + row * n, *params = frame.parameters(row);
    const bool unknown[4] = {any_unknown(problem.z, frame.n), any_unknown(start, n),
                             any_unknown(problem.log_a, n), any_unknown(problem.log_b, m)};
    if (unknown[0] || unknown[1] || unknown[2] || unknown[3]) {
      fill(v + row * m, m, not_a_number());
      continue;
    }
    for (int i = thread(); i < n; i += threads()) problem.u[i] = start[i];
    for (int j = thread(); j < m; j += threads()) problem.v[j] = 0.0;
    __syncthreads();
    const double tol = params[0], sweeps = params[1];
    for (double count = 1.0; problem.move_columns(tol) && count < sweeps; count += 1.0) {
      problem.move_rows();
    }
    for (int j = thread(); j < m; j += threads()) v[row * m + j] = static_cast<T>(problem.v[j]);
    __syncthreads();
  }
}

}  // namespace fenchel

#define SINKHORN_COLUMNS_ARRAYS(T) \
  const T *z, const T *u, const T *log_a, const T *log_b, int m, T *v
FENCHEL_EXPORT(sinkhorn_columns, SINKHORN_COLUMNS_ARRAYS, z, u, log_a, log_b, m, v)
