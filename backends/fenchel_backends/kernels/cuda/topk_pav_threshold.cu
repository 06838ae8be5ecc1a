// Threshold of the soft top-k mask or magnitude, by pooling adjacent violators of a sorted row
// outwards from positions k and k+1: with weights 1, ..., 1, frac(k), 0, ... there is at most one
// block of several entries. s is sorted in descending order.
// params: k, temperature, q, magnitude (0 or 1).
#include "root.cuh"

namespace fenchel {

// Excess of the block first..last over its weight: mask sum ((s - v) / l)^(q-1) - w, magnitude
// sum ((s - v) / l)^(q-1) / v - w, with signed powers. Newton is that of the operator.
template <class T, class Newton, bool magnitude>
struct BlockLaw : Newton {
  const T* s;
  int first, last;
  double width, q, weight;

  __device__ Slope operator()(double v) const {
    double total[2] = {0.0, 0.0};
    for (int i = first + thread(); i <= last; i += threads()) {
      const double u = (static_cast<double>(s[i]) - v) / width;
      if (u == 0.0) continue;
      const double slope_share = power(fabs(u), q - 2.0);
      total[0] += slope_share * u;
      total[1] += slope_share;
    }
    block_sum(total);
    const double slope = -(q - 1.0) / width * total[1];
    if (!magnitude) return {total[0] - weight, slope};
    return {total[0] / v - weight, (slope - total[0] / v) / v};
  }
};

// One row: its k ones end inside or at the end of entry `pivot`.
template <class T>
struct Pooling {
  const T* s;
  int n;
  double k, width, q;
  bool magnitude;

  __device__ double entry(int i) const { return static_cast<double>(s[i]); }
  __device__ double weight(int first, int last) const {
    return clamp(k - first, 0.0, static_cast<double>(last - first + 1));
  }
  __device__ double value(int first, int last) const {
    const double w = weight(first, last), high = entry(first);
    if (w == 0.0 && first == last) return high;
    const double scale = larger(1.0, w);
    if (!magnitude) {
      const double low = entry(last) - width;
      const BlockLaw<T, Additive, false> law{{}, s, first, last, width, q, w};
      return decreasing_root(law, low, high, Additive::middle(low, high), scale);
    }
    // The smallest entry alone would keep at least this much; the denormal floor keeps 1/v finite.
    const double half = 0.5 * entry(last);
    const double low = larger(1e-300, smaller(half, power(half / width, q - 1.0)));
    const BlockLaw<T, Reciprocal, true> law{{}, s, first, last, width, q, w};
    return decreasing_root(law, low, high, Reciprocal::middle(low, high), scale);
  }
  // Would entry i alone (left of the block: weight 1, right: weight 0) lie on the wrong side of v?
  __device__ bool below(int i, double v) const {
    const double u = (entry(i) - v) / width;
    if (!(u > 0.0)) return true;
    return power(u, q - 1.0) < (magnitude ? v : 1.0);
  }
  __device__ bool violates_left(int first, double v) const { return first > 0 && below(first - 1, v); }
  __device__ bool violates_right(int last, double v) const { return last + 1 < n && entry(last + 1) > v; }
};

// Grows the block on one side until nothing violates there. Taking an entry moves the value towards
// it, so "still violates" holds up to some count and never after: gallop, then bisect.
template <class T>
__device__ bool grow(const Pooling<T>& row, bool left, int& first, int& last, double& v) {
  const auto violates = [&](int count, double& at) {
    const int f = left ? first - count : first, l = left ? last : last + count;
    if (count > 0) at = row.value(f, l);
    return left ? row.violates_left(f, at) : row.violates_right(l, at);
  };
  double at = v;
  if (!violates(0, at)) return false;
  const int room = left ? first : row.n - 1 - last;
  int low = 0, high = 1;  // violates at low; not known at high
  while (high < room && violates(high, at)) {
    low = high;
    high = high <= room / 2 ? 2 * high : room;
  }
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    (violates(middle, at) ? low : high) = middle;
  }
  first -= left ? high : 0;
  last += left ? 0 : high;
  v = row.value(first, last);
  return true;
}

// Threshold of a row without edge cases: 0 < k < n, all finite.
template <class T>
__device__ double pooled_threshold(const Pooling<T>& row, int& merges) {
  const double whole = floor(row.k);
  int first = static_cast<int>(whole) - (row.k == whole ? 1 : 0), last = first;
  double v = row.value(first, last);
  for (int turn = 0; turn < row.n; ++turn) {
    const bool right = grow(row, false, first, last, v);
    const bool left = grow(row, true, first, last, v);
    if (!right && !left) break;
  }
  merges = last - first;
  if (merges > 0 || row.k != whole) return v;
  const double next = row.entry(last + 1);
  return row.magnitude ? next : 0.5 * (row.entry(last) - row.width + next);
}

template <class T>
__device__ double sorted_threshold(const T* s, int n, const T* params, int& merges) {
  merges = 0;
  const double k = static_cast<double>(params[0]), width = static_cast<double>(params[1]);
  const double q = static_cast<double>(params[2]);
  const bool magnitude = params[3] != T(0);
  double count[2] = {0.0, 0.0};  // entries that may be selected; of them +inf
  bool nan = false;
  for (int i = thread(); i < n; i += threads()) {
    const double v = static_cast<double>(s[i]);
    nan = nan || is_nan(v);
    count[0] += v > (magnitude ? 0.0 : -infinity()) ? 1.0 : 0.0;
    count[1] += v == infinity() ? 1.0 : 0.0;
  }
  block_sum(count);
  if (block_any(nan) || is_nan(k + width + q)) return not_a_number();
  const int selectable = static_cast<int>(count[0]), infinite = static_cast<int>(count[1]);
  if (k <= 0.0) return infinity();
  if (magnitude && k >= selectable) return 0.0;
  if (selectable == infinite) return 0.0;
  if (k >= selectable) return static_cast<double>(s[selectable - 1]) - width;
  if (k <= infinite) return static_cast<double>(s[infinite]);
  if (!(width > 0.0)) return static_cast<double>(s[static_cast<int>(ceil(k))]);
  const Pooling<T> row{s + infinite, selectable - infinite, k - infinite, width, q, magnitude};
  return pooled_threshold(row, merges);
}

template <class T>
__device__ void topk_pav_threshold(const Frame<T>& frame, const T* s, T* threshold, int* merges) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    int count;
    const T* entries = s + frame.offset(row);
    const double at = sorted_threshold(entries, frame.n, frame.parameters(row), count);
    write_once(threshold, row, at);
    write_once(merges, row, count);
  }
}

}  // namespace fenchel

#define TOPK_PAV_THRESHOLD_ARRAYS(T) const T *s, T *threshold, int *merges
FENCHEL_EXPORT(topk_pav_threshold, TOPK_PAV_THRESHOLD_ARRAYS, s, threshold, merges)
