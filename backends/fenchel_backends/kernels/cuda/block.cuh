// What every kernel shares: rows and parameters, block-wide reductions and scans, exports.
//
// One block works on one row at a time and strides over rows. Control flow around a barrier is
// uniform in a block: decisions rest only on values that all threads hold with equal bits.
#ifndef FENCHEL_BLOCK_CUH
#define FENCHEL_BLOCK_CUH

#ifdef FENCHEL_SHIM
#include "shim.hpp"
#define FENCHEL_SHARED_WORK() (fenchel_shim::shared.data())
#define FENCHEL_RUN(CALL) fenchel_shim::launch([&] { CALL; })
#else
extern __shared__ double fenchel_shared_work[];
#define FENCHEL_SHARED_WORK() fenchel_shared_work
#define FENCHEL_RUN(CALL) CALL
#endif

namespace fenchel {

#ifdef FENCHEL_SHIM
constexpr int warp_size = fenchel_shim::warp_size;
#else
constexpr int warp_size = 32;
#endif
// Kernels use up to 128 registers a thread, so 512 threads are what a multiprocessor can start.
constexpr int max_threads = 512;
constexpr int max_warps = max_threads / warp_size;
constexpr unsigned all_lanes = 0xffffffffu;

__device__ inline double infinity() { return __longlong_as_double(0x7ff0000000000000LL); }
__device__ inline double not_a_number() { return __longlong_as_double(0x7ff8000000000000LL); }
__device__ inline bool is_nan(double v) { return v != v; }
__device__ inline bool is_finite(double v) { return v - v == 0.0; }
__device__ inline double larger(double a, double b) { return a > b ? a : b; }
__device__ inline double smaller(double a, double b) { return a < b ? a : b; }
__device__ inline double clamp(double v, double low, double high) {
  return v < low ? low : (v > high ? high : v);
}

// The part of a launch that all kernels share. `work` is null when the scratch of a block fits in
// shared memory; otherwise each block owns `work_stride` doubles of it.
template <class T>
struct Frame {
  long long rows;
  int n;
  const T* params;
  int param_rows;
  int param_count;
  double* work;
  long long work_stride;

  __device__ const T* parameters(long long row) const {
    return params + (param_rows == 1 ? 0 : row * param_count);
  }
  __device__ double* scratch() const {
    return work ? work + static_cast<long long>(blockIdx.x) * work_stride : FENCHEL_SHARED_WORK();
  }
  __device__ long long offset(long long row) const { return row * n; }
};

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }
__device__ inline int threads() { return static_cast<int>(blockDim.x); }
__device__ inline int lane() { return thread() % warp_size; }
__device__ inline int warp() { return thread() / warp_size; }
__device__ inline int warps() { return threads() / warp_size; }

struct Add {
  static __device__ double apply(double a, double b) { return a + b; }
};
struct Largest {
  static __device__ double apply(double a, double b) { return larger(a, b); }
};

// Reduces N values at once over the block, in place. The butterfly and the fixed order of warps give
// every thread the same bits, run after run.
template <class Op, int N>
__device__ void block_reduce(double (&value)[N]) {
  __shared__ double partial[N][max_warps];
  for (int stride = warp_size / 2; stride > 0; stride /= 2) {
    for (int j = 0; j < N; ++j) {
      value[j] = Op::apply(value[j], __shfl_xor_sync(all_lanes, value[j], stride));
    }
  }
  if (warps() == 1) return;
  if (lane() == 0) {
    for (int j = 0; j < N; ++j) partial[j][warp()] = value[j];
  }
  __syncthreads();
  for (int j = 0; j < N; ++j) {
    value[j] = partial[j][0];
    for (int w = 1; w < warps(); ++w) value[j] = Op::apply(value[j], partial[j][w]);
  }
  __syncthreads();
}

template <int N>
__device__ void block_sum(double (&value)[N]) {
  block_reduce<Add, N>(value);
}

template <int N>
__device__ void block_max(double (&value)[N]) {
  block_reduce<Largest, N>(value);
}

__device__ inline bool block_any(bool flag) {
  double value[1] = {flag ? 1.0 : 0.0};
  block_max(value);
  return value[0] > 0.0;
}

template <class T>
__device__ bool any_nan(const T* x, int n) {
  bool found = false;
  for (int i = thread(); i < n; i += threads()) found = found || is_nan(static_cast<double>(x[i]));
  return block_any(found);
}

template <class T, class V>
__device__ void fill(T* out, int n, V value) {
  for (int i = thread(); i < n; i += threads()) out[i] = static_cast<T>(value);
}

__device__ inline void own_index(int* blocks, int n) {
  for (int i = thread(); i < n; i += threads()) blocks[i] = i;
}

// One look at a row: what brackets and edge cases need.
struct Survey {
  bool nan;
  double largest, smallest;  // of the finite entries
  double finite, infinite;   // number of finite and of +inf entries
};

template <class T>
__device__ Survey survey(const T* x, int n) {
  double extreme[3] = {0.0, -infinity(), -infinity()};
  double count[2] = {0.0, 0.0};
  for (int i = thread(); i < n; i += threads()) {
    const double v = static_cast<double>(x[i]);
    if (is_finite(v)) {
      extreme[1] = larger(extreme[1], v);
      extreme[2] = larger(extreme[2], -v);
      count[0] += 1.0;
    } else if (is_nan(v)) {
      extreme[0] = 1.0;
    } else if (v > 0.0) {
      count[1] += 1.0;
    }
  }
  block_max(extreme);
  block_sum(count);
  return {extreme[0] > 0.0, extreme[1], -extreme[2], count[0], count[1]};
}

template <class T>
__device__ void write_once(T* out, long long row, double value) {
  if (thread() == 0) out[row] = static_cast<T>(value);
}

}  // namespace fenchel

// Exports NAME_float32 and NAME_float64. ARRAYS is a macro that maps a type to the array parameters,
// VALUES their names; the kernel is the template function NAME(frame, arrays...).
#define FENCHEL_PASS(...) __VA_ARGS__
#define FENCHEL_EXPORT_AS(NAME, SUFFIX, REAL, ARRAYS, ...)                                           \
  extern "C" __global__ void __launch_bounds__(fenchel::max_threads)                                 \
      NAME##_##SUFFIX(long long rows, int n, const REAL* params, int param_rows, int param_count,    \
                      double* work, long long work_stride, ARRAYS(REAL)) {                           \
    const fenchel::Frame<REAL> frame = {rows,        n,    params,     param_rows,                   \
                                        param_count, work, work_stride};                             \
    FENCHEL_RUN(fenchel::NAME<REAL>(frame, __VA_ARGS__));                                            \
  }
#define FENCHEL_EXPORT(NAME, ARRAYS, ...)                            \
  FENCHEL_EXPORT_AS(NAME, float32, float, ARRAYS, __VA_ARGS__)       \
  FENCHEL_EXPORT_AS(NAME, float64, double, ARRAYS, __VA_ARGS__)

#endif
