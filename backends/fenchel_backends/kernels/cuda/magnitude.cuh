// Dual threshold of the soft top-k in magnitude (arXiv 2302.01425):
// sum min(1, ((s - theta)_+ / l)^(q-1) / theta) = k over s = |x|.
#ifndef FENCHEL_MAGNITUDE_CUH
#define FENCHEL_MAGNITUDE_CUH

#include "root.cuh"

namespace fenchel {

// Excess of a row of magnitudes or of signed numbers (the law looks at |x|), and its derivative.
template <class T>
struct MagnitudeLaw : Reciprocal {
  const T* x;
  int n;
  double k, width, p, q;

  __device__ MagnitudeLaw(const T* x_, int n_, const T* params)
      : x(x_), n(n_), k(params[0]), width(params[1]), p(params[2]), q(p / (p - 1.0)) {}

  // Magnitudes at or above it are saturated; those up to theta are off.
  __device__ double ceiling(double theta) const { return theta + width * pow(theta, p - 1.0); }

  __device__ Slope operator()(double theta) const {
    double total[2] = {0.0, 0.0};
    const double top = ceiling(theta);
    for (int i = thread(); i < n; i += threads()) {
      const double s = fabs(static_cast<double>(x[i]));
      if (s <= theta) continue;
      if (s >= top) {
        total[0] += 1.0;
      } else {
        const double u = (s - theta) / width, slope_share = power(u, q - 2.0) / theta;
        total[0] += slope_share * u;
        total[1] += slope_share * ((q - 1.0) / width + u / theta);
      }
    }
    block_sum(total);
    return {total[0] - k, -total[1]};
  }
};

// Where the operator is hard every theta from the largest entry that is off upwards, up to some point,
// is as good; that entry is exact and survives the rounding to the output dtype.
template <class T>
__device__ double exact_if_hard(const MagnitudeLaw<T>& law, double theta) {
  double extreme[2] = {-infinity(), -infinity()}, count[1] = {0.0};  // largest lower, -smallest upper
  for (int i = thread(); i < law.n; i += threads()) {
    const double s = fabs(static_cast<double>(law.x[i]));
    if (s > theta && power((s - theta) / law.width, law.q - 1.0) >= 0.5 * theta) {
      extreme[1] = larger(extreme[1], -s);
      count[0] += 1.0;
    } else {
      extreme[0] = larger(extreme[0], s);
    }
  }
  block_max(extreme);
  block_sum(count);
  const bool hard = count[0] == law.k && -extreme[1] >= law.ceiling(extreme[0]);
  return hard && extreme[0] > 0.0 ? extreme[0] : theta;
}

// Number of nonzero entries, and the smallest and largest finite ones among them.
template <class T>
__device__ void nonzeros(const T* x, int n, double& count, double& smallest, double& largest) {
  double extreme[2] = {-infinity(), 0.0}, total[1] = {0.0};
  for (int i = thread(); i < n; i += threads()) {
    const double s = fabs(static_cast<double>(x[i]));
    if (!(s > 0.0)) continue;
    total[0] += 1.0;
    if (!is_finite(s)) continue;
    extreme[0] = larger(extreme[0], -s);
    extreme[1] = larger(extreme[1], s);
  }
  block_max(extreme);
  block_sum(total);
  count = total[0];
  smallest = -extreme[0];
  largest = extreme[1];
}

template <class T>
__device__ double magnitude_root(const T* x, int n, const T* params) {
  const MagnitudeLaw<T> law(x, n, params);
  if (any_nan(x, n) || is_nan(law.k + law.width + law.p)) return not_a_number();
  if (law.k <= 0.0) return infinity();
  double count, smallest, largest, infinite[1] = {0.0};
  nonzeros(x, n, count, smallest, largest);
  for (int i = thread(); i < n; i += threads()) {
    infinite[0] += fabs(static_cast<double>(x[i])) == infinity() ? 1.0 : 0.0;
  }
  block_sum(infinite);
  if (law.k >= count) return 0.0;
  if (law.k <= infinite[0]) return largest;
  // All nonzeros saturate where theta and l theta^(p-1) are both at most half the smallest one.
  const double knee = law.width > 0.0 ? pow(0.5 * smallest / law.width, law.q - 1.0) : smallest;
  const double low = smaller(0.5 * smallest, knee);
  const double theta =
      decreasing_root(law, low, largest, Reciprocal::middle(low, largest), larger(1.0, law.k));
  return law.k == floor(law.k) ? exact_if_hard(law, theta) : theta;
}

}  // namespace fenchel

#endif
