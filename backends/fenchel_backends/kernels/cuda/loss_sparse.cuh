// Losses with sparse predictions: p_i = (w_i - s)_+^c, w_i = 1 + a d_i, d_i the distance to the largest
// score, a = alpha - 1, c = 1/a. Each thread keeps the few distances of its entries that may be in the
// support in shared memory; Newton on the norm of the shares runs over those alone.
#ifndef FENCHEL_LOSS_SPARSE_CUH
#define FENCHEL_LOSS_SPARSE_CUH

#include "loss.cuh"
#include "root.cuh"

namespace fenchel {

constexpr int slots = 8;  // of kept distances a thread

// Share of an entry and what the loss needs of it: base u = w - s, its logarithm, p = u^c.
struct Share {
  double base, logarithm, p;
};

__device__ inline double exact_base(double d, double s, double a) {
  const double v = a * d;
  return v > -0.5 ? 1.0 + (v - s) : fma(a, d, 1.0) - s;
}

__device__ inline Share share_of(double d, double s, double a) {
  const double u = exact_base(d, s, a);
  if (!(u > 0.0)) return {u, 0.0, 0.0};
  if (a == 1.0) return {u, 0.0, u};
  if (a == 0.5) return {u, 0.0, u * u};
  const double logarithm = a * d > -0.5 ? log1p(a * d - s) : log(u);
  return {u, logarithm, exp(logarithm / a)};
}

// Root s >= 0 of sum (w - s)_+^c + (1 - s)^c = 1, the pivot apart; it rises from 0.
template <class Row>
__device__ double sparse_root(const Row& row, int pivot, double a) {
  __shared__ double kept[max_threads * slots];
  double* own = kept + thread() * slots;
  int count = 0;
  for (int i = thread(); i < row.n; i += threads()) {
    const double d = row.distance(i);
    if (i == pivot || !(exact_base(d, 0.0, a) > 0.0)) continue;
    if (count < slots) own[count] = d;
    ++count;
  }
  const bool fits = !block_any(count > slots);
  const double c = 1.0 / a;
  double s = 0.0;
  for (int pass = 0; pass < max_passes; ++pass) {
    double total[2] = {0.0, 0.0};
    const auto add = [&](double d) {
      const Share share = share_of(d, s, a);
      if (!(share.base > 0.0)) return;
      total[0] += share.p;
      total[1] += share.p / share.base;
    };
    if (fits) {
      for (int j = 0; j < count; ++j) add(own[j]);
    } else {
      for (int i = thread(); i < row.n; i += threads()) {
        if (i != pivot) add(row.distance(i));
      }
    }
    block_sum(total);
    const double top = log1p(-s);
    const double excess = total[0] + expm1(c * top), slope = total[1] + exp((c - 1.0) * top);
    const double step = expm1(a * log1p(excess)) * exp((1.0 - a) * log1p(excess)) / slope;
    if (!(step > epsilon * s)) break;
    s = smaller(s + step, 1.0 - 0.5 * epsilon);
  }
  return s;
}

// Term of the pivot as the target: the integral of q(u) = 1 - (1 - u)^c over [0, s], over a.
__device__ inline double pivot_term(double s, double a) {
  const double c = 1.0 / a;
  if (c * s < 0.1) {
    double total = 0.0, power = -s;
    for (int n = 1; n < 12; ++n) {
      power *= -(c - n + 1.0) / n * s;
      total += power / (n + 1.0);
    }
    return total / a;
  }
  return (s / a + expm1(c * log1p(-s)) * (1.0 - s)) / (1.0 + a);
}

// Divergence of y from a share p > 0; a series where they are close.
__device__ inline double bregman(double y, const Share& share, double a) {
  const double p = share.p, u = share.base, alpha = 1.0 + a;
  if (a == 1.0) return 0.5 * (y - p) * (y - p);
  if (a == 0.5) return 2.0 / 3.0 * (sqrt(y) - u) * (sqrt(y) - u) * (2.0 * sqrt(y) + u);
  if (y == 0.0) return p * u / alpha;
  const double e = y / p - 1.0;
  if (fabs(e) < 0.05) {
    double total = 0.0, coefficient = 0.5, power = e * e;
    for (int n = 2; n < 14; ++n) {
      total += coefficient * power;
      coefficient *= (alpha - n) / (n + 1.0);
      power *= e;
    }
    return p * u * total;
  }
  return u * (y * expm1(a * log(y) - share.logarithm) / a - (y - p)) / alpha;
}

// Term of a part y > 0 of the target where nothing is predicted.
__device__ inline double outside(double y, double d, double s, double a) {
  const double power = a == 1.0 ? y : (a == 0.5 ? sqrt(y) : exp(a * log(y)));
  return y * (power / (1.0 + a) - exact_base(d, s, a)) / a;
}

// Loss and gradient of a row for targets target(i); `factor` multiplies the loss.
template <class T, class Row, class Target>
__device__ void sparse_row(const Row& row, int pivot, double a, double factor, const Target& target,
                           T* loss, long long index, T* g) {
  const double s = sparse_root(row, pivot, a);
  double total[1] = {0.0};
  for (int i = thread(); i < row.n; i += threads()) {
    const double y = target(i), d = i == pivot ? 0.0 : row.distance(i);
    const Share share = share_of(d, s, a);
    if (i == pivot) {
      g[i] = static_cast<T>((1.0 - y) + expm1(log1p(-s) / a));
      // 1 - s has lost the digits of s, which are all there is at the optimum
      total[0] += y == 1.0 ? pivot_term(s, a) : bregman(y, share, a);
    } else {
      g[i] = static_cast<T>(d > -infinity() ? share.p - y : 0.0);
      if (share.p > 0.0) {
        total[0] += bregman(y, share, a);
      } else if (y != 0.0) {
        total[0] += outside(y, d, s, a);
      }
    }
  }
  block_sum(total);
  closed(loss, index, factor * total[0], g, row.n);
}

template <class T>
struct Distances : Scores<T> {
  __device__ double distance(int i) const { return (*this)[i] - this->largest; }
};

// Scores (x + y)/2, the target's own moved by a half: Fitzpatrick's sparsemax.
template <class T, class Target>
struct Midpoints {
  Scores<T> scores;
  Target target;
  int n;
  double largest;

  __device__ double operator[](int i) const { return 0.5 * (scores[i] + target(i)); }
  __device__ double distance(int i) const { return (*this)[i] - largest; }
};

template <class T, class Target>
__device__ void sparse_loss(const Scores<T>& scores, double a, int label, const Target& target, T* loss,
                            long long row, T* g) {
  const Distances<T> distances = {scores};
  sparse_row(distances, place_of_largest(distances, label), a, 1.0, target, loss, row, g);
}

template <class T, class Target>
__device__ void midpoint_loss(const Scores<T>& scores, int label, const Target& target, T* loss,
                              long long row, T* g) {
  Midpoints<T, Target> middle = {scores, target, scores.n, -infinity()};
  double top[1] = {-infinity()};
  for (int i = thread(); i < scores.n; i += threads()) top[0] = larger(top[0], middle[i]);
  block_max(top);
  middle.largest = top[0];
  sparse_row(middle, place_of_largest(middle, label), 1.0, 2.0, target, loss, row, g);
}

}  // namespace fenchel

#endif
