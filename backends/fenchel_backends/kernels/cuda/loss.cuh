// What the losses share: the state of a row, and rows without a loss of their own.
#ifndef FENCHEL_LOSS_CUH
#define FENCHEL_LOSS_CUH

#include "block.cuh"

namespace fenchel {

// Scores of a row. In a row with entries of +inf these share the first place and nothing else
// takes part: they read as 0, the others as -inf.
template <class T>
struct Scores {
  const T* x;
  int n;
  double largest;
  bool shared;

  __device__ double operator[](int i) const {
    const double v = static_cast<double>(x[i]);
    return shared ? (v > 0.0 && !is_finite(v) ? 0.0 : -infinity()) : v;
  }
};

// Whether the row has a loss of its own; otherwise the loss and the gradient of bad data (NaN) or of
// a row whose entries are all out (0) are written.
template <class T>
__device__ bool opened(const T* x, int n, bool valid, T* loss, long long row, T* g, Scores<T>& out) {
  const Survey found = survey(x, n);
  const bool empty = found.finite == 0.0 && found.infinite == 0.0;
  out = {x, n, found.infinite > 0.0 ? 0.0 : found.largest, found.infinite > 0.0};
  if (!found.nan && valid && !empty) return true;
  const double value = found.nan || !valid ? not_a_number() : 0.0;
  write_once(loss, row, value);
  fill(g, n, value);
  return false;
}

// Writes the loss; a NaN, of a target, spoils the gradient too.
template <class T>
__device__ void closed(T* loss, long long row, double value, T* g, int n) {
  write_once(loss, row, value);
  if (is_nan(value)) fill(g, n, value);
}

// Lowest place of the largest entry, or `preferred` if that is one.
template <class Row>
__device__ int place_of_largest(const Row& row, int preferred) {
  if (preferred >= 0 && row[preferred] == row.largest) return preferred;
  double first[1] = {-infinity()};
  for (int i = thread(); i < row.n; i += threads()) {
    if (row[i] == row.largest) first[0] = larger(first[0], -static_cast<double>(i));
  }
  block_max(first);
  return static_cast<int>(-first[0]);
}

}  // namespace fenchel

#endif
