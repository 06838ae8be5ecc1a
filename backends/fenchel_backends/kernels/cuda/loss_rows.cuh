// The two kernels of a loss, for classes and for label proportions, from what it does on a row:
// apply(frame, row, scores, label, target, loss, g) with label = -1 for proportions.
#ifndef FENCHEL_LOSS_ROWS_CUH
#define FENCHEL_LOSS_ROWS_CUH

#include "loss.cuh"

namespace fenchel {

struct OneHot {
  long long label;
  __device__ double operator()(int i) const { return i == label ? 1.0 : 0.0; }
};

template <class T>
struct Proportions {
  const T* y;
  __device__ double operator()(int i) const { return static_cast<double>(y[i]); }
};

template <class Apply, class T>
__device__ void index_rows(const Frame<T>& frame, const T* x, const long long* labels, T* loss,
                           T* gradient) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row), label = labels[row];
    const bool valid = label >= 0 && label < frame.n && Apply::valid(frame, row);
    Scores<T> scores;
    if (!opened(x + offset, frame.n, valid, loss, row, gradient + offset, scores)) continue;
    Apply::run(frame, row, scores, static_cast<int>(label), OneHot{label}, loss, gradient + offset);
  }
}

template <class Apply, class T>
__device__ void dense_rows(const Frame<T>& frame, const T* x, const T* y, T* loss, T* gradient) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    Scores<T> scores;
    T* g = gradient + offset;
    if (!opened(x + offset, frame.n, Apply::valid(frame, row), loss, row, g, scores)) continue;
    Apply::run(frame, row, scores, -1, Proportions<T>{y + offset}, loss, g);
  }
}

}  // namespace fenchel

#define LOSS_INDEX_ARRAYS(T) const T *x, const long long *label, T *loss, T *gradient
#define LOSS_DENSE_ARRAYS(T) const T *x, const T *y, T *loss, T *gradient
#define FENCHEL_EXPORT_LOSS(NAME, APPLY)                                                      \
  namespace fenchel {                                                                         \
  template <class T>                                                                          \
  __device__ void NAME##_index(const Frame<T>& frame, LOSS_INDEX_ARRAYS(T)) {                 \
    index_rows<APPLY>(frame, x, label, loss, gradient);                                       \
  }                                                                                           \
  template <class T>                                                                          \
  __device__ void NAME##_dense(const Frame<T>& frame, LOSS_DENSE_ARRAYS(T)) {                 \
    dense_rows<APPLY>(frame, x, y, loss, gradient);                                           \
  }                                                                                           \
  }                                                                                           \
  FENCHEL_EXPORT(NAME##_index, LOSS_INDEX_ARRAYS, x, label, loss, gradient)                   \
  FENCHEL_EXPORT(NAME##_dense, LOSS_DENSE_ARRAYS, x, y, loss, gradient)

#endif
