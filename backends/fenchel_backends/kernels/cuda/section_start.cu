// Multiplier of a box section {lower <= y <= upper, <weights, y> = total}, strictly between the two
// points around the root of <weights, clip(x - tau weights)> = total. params: total.
#include "block.cuh"

namespace fenchel {

struct Excess {
  double over, slack, slope;  // <w, y> - total, what of it is rounding, square of the free weights
};

struct Points {
  double first, last;  // where an entry leaves its lower and its upper bound
};

template <class T>
struct Section {
  const T *x, *lower, *upper, *weights;
  int n;
  double total;

  // Points are rounded like the data, so that equal ones are; inf where tau does not move the entry.
  __device__ Points points(int i) const {
    if (weights[i] == T(0) || lower[i] == upper[i]) return {infinity(), infinity()};
    const T first = (x[i] - lower[i]) / weights[i], last = (x[i] - upper[i]) / weights[i];
    return {first == first ? static_cast<double>(first) : infinity(),
            last == last ? static_cast<double>(last) : infinity()};
  }
  __device__ bool broken() const {
    bool found = is_nan(total);
    for (int i = thread(); i < n; i += threads()) {
      found = found || is_nan(x[i]) || is_nan(lower[i]) || is_nan(upper[i]) || is_nan(weights[i]);
    }
    return block_any(found);
  }
  __device__ Excess operator()(double tau) const {
    double sums[3] = {0.0, 0.0, 0.0};
    for (int i = thread(); i < n; i += threads()) {
      const double w = weights[i], l = lower[i], u = upper[i];
      if (w == 0.0) continue;
      // Rounded twice: at a point the entry is then mostly the bound itself.
      const double height = static_cast<double>(x[i]) - __dmul_rn(tau, w);
      const double term = w * smaller(larger(height, l), u);
      sums[0] += term;
      sums[1] += fabs(term);
      if (height > l && height < u) sums[2] += w * w;
    }
    block_sum(sums);
    const double epsilon = sizeof(T) == 4 ? 1.1920928955078125e-07 : 2.220446049250313e-16;
    return {sums[0] - total, 8.0 * epsilon * (sums[1] + fabs(total)), sums[2]};
  }
  // Multiplier where no bound binds; 0 where there is none.
  __device__ double without_bounds() const {
    double sums[2] = {0.0, 0.0};
    for (int i = thread(); i < n; i += threads()) {
      const double w = weights[i];
      sums[0] += w * static_cast<double>(x[i]);
      sums[1] += w * w;
    }
    block_sum(sums);
    const double tau = (sums[0] - total) / sums[1];
    return is_finite(tau) ? tau : 0.0;
  }
  __device__ double largest_below(double bound) const {
    double found[1] = {-infinity()};
    for (int i = thread(); i < n; i += threads()) {
      const Points at = points(i);
      if (at.first < bound) found[0] = larger(found[0], at.first);
      if (at.last < bound) found[0] = larger(found[0], at.last);
    }
    block_max(found);
    return found[0];
  }
  __device__ double least_above(double bound, bool or_equal) const {
    double found[1] = {-infinity()};
    for (int i = thread(); i < n; i += threads()) {
      const Points at = points(i);
      if (at.first > bound || (or_equal && at.first == bound)) found[0] = larger(found[0], -at.first);
      if (at.last > bound || (or_equal && at.last == bound)) found[0] = larger(found[0], -at.last);
    }
    block_max(found);
    return -found[0];
  }
};

// Integer whose order is that of the floats, and back; there is one zero.
__device__ inline long long float_key(double value) {
  const long long bits = __double_as_longlong(value + 0.0);
  return bits ^ ((bits >> 63) & 0x7fffffffffffffffLL);
}
__device__ inline double float_of_key(long long key) {
  return __longlong_as_double(key ^ ((key >> 63) & 0x7fffffffffffffffLL));
}

// The middle of the numbers first, and of the floats where that takes too long.
__device__ inline double middle_of(double low, double high, int pass) {
  const double middle = 0.5 * low + 0.5 * high;
  if (pass < 40 && is_finite(middle)) return middle;
  return float_of_key((float_key(low) >> 1) + (float_key(high) >> 1));
}

struct Bracket {
  double low, high;  // <w, y> is above the total by more than rounding at `low` alone; no point between
};

// Newton's method, then the point below the bracket's upper end; in time every fourth pass halves
// the floats in the bracket or tests a point.
template <class T>
__device__ Bracket neighbours(const Section<T>& section) {
  double low = -infinity(), high = infinity(), tau = section.without_bounds();
  bool probing = false;
  for (int pass = 0; pass < 600; ++pass) {
    const Excess at = section(tau);
    if (at.over > at.slack) {
      low = tau;
      if (probing) break;
    } else {
      high = tau;
    }
    if (fabs(at.over) > at.slack && at.slope > 0.0 && (pass < 16 || pass % 4 != 3)) {
      const double step = tau + at.over / at.slope;
      if (step > low && step < high) {
        tau = step;
        probing = false;
        continue;
      }
    }
    const double below = section.largest_below(high);
    if (below <= low) return {below, high};
    if (low == -infinity()) {  // no point is below the first
      const double least = section.least_above(low, false);
      if (least < infinity()) low = least - 1.0 - fabs(least);
    }
    const double middle = middle_of(low, below, pass);
    probing = !(probing && low < middle && middle < below);
    tau = probing ? below : middle;
  }
  return {low, high};
}

__device__ inline double between(double first, double last) {
  if (is_finite(first)) {
    return is_finite(last) ? 0.5 * first + 0.5 * last : first + 1.0 + fabs(first);
  }
  return is_finite(last) ? last - 1.0 - fabs(last) : 0.0;
}

template <class T>
__device__ double multiplier(const Section<T>& section) {
  if (section.broken()) return not_a_number();
  const Bracket found = neighbours(section);
  const double root = section.least_above(found.high, true);
  if (root < infinity()) {
    const Excess at = section(root);
    if (fabs(at.over) <= at.slack) return between(root, section.least_above(root, false));
  }
  return between(found.low, root);
}

template <class T>
__device__ void section_start(const Frame<T>& frame, const T* x, const T* lower, const T* upper,
                              const T* weights, T* start) {
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    const long long offset = frame.offset(row);
    const double total = static_cast<double>(frame.parameters(row)[0]);
    const Section<T> section = {x + offset,       lower + offset, upper + offset,
                                weights + offset, frame.n,        total};
    write_once(start, row, multiplier(section));
  }
}

}  // namespace fenchel

#define SECTION_START_ARRAYS(T) const T *x, const T *lower, const T *upper, const T *weights, T *start
FENCHEL_EXPORT(section_start, SECTION_START_ARRAYS, x, lower, upper, weights, start)
