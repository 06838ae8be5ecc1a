// Fitzpatrick logistic loss: omega(s - 1) for a class, omega the Wright function and s the log-odds
// against it; for label proportions the maximiser is y/omega(lambda - x + log y), exp(x - lambda)
// where y = 0, and the loss the chi-square divergence from it.
#ifndef FENCHEL_LOSS_WRIGHT_CUH
#define FENCHEL_LOSS_WRIGHT_CUH

#include "loss_logistic.cuh"
#include "root.cuh"

namespace fenchel {

// The omega > 0 with omega + log(omega) = z, by two Fritsch-Shafer-Crowley steps.
__device__ inline double wright(double z) {
  if (z < -36.0) return exp(z);
  const double e = exp(smaller(z, 1.0));
  double w = e * (1.0 - e * (1.0 - 1.5 * e));
  if (z >= -2.0) w = 0.567143290409784 + 0.361896256634889 * z + 0.0736778 * z * z;
  if (z >= 1.0) w = z - log(z) + log(z) / z;
  for (int pass = 0; pass < 2; ++pass) {
    const double r = z - w - log(w), t = 1.0 + w, q = 2.0 * t * (t + 2.0 / 3.0 * r);
    w *= 1.0 + r / t * (q - r) / (q - 2.0 * r);
  }
  return w;
}

template <class T>
__device__ void fitzpatrick_class(const Scores<T>& scores, int label, T* loss, long long row, T* g) {
  const double rest = sum_of_others(scores, label), below = scores.largest - scores[label];
  if (rest == 0.0) {
    write_once(loss, row, 0.0);
    fill(g, scores.n, 0.0);
    return;
  }
  const bool out = !is_finite(below);
  const double value = out ? infinity() : wright(log(rest) + below - 1.0);
  const double share = out ? 1.0 : value / (1.0 + value);
  write_class(scores, label, share / rest, share, g);
  write_once(loss, row, value);
}

template <class T, class Target>
__device__ void fitzpatrick_logistic_loss(const Scores<T>& scores, int label, const Target& target,
                                          T* loss, long long row, T* g) {
  const int only = label >= 0 ? label : only_class(target, scores.n);
  if (only >= 0) {
    fitzpatrick_class(scores, only, loss, row, g);
    return;
  }
  const double log_total = log(sum_of_others(scores, -1));
  // lambda = lse + shift: Newton rises to the root, which is at most 1
  double shift = 0.0;
  for (int pass = 0; pass < 30; ++pass) {
    double total[2] = {0.0, 0.0};
    for (int i = thread(); i < scores.n; i += threads()) {
      const double y = target(i), z = shift + log_total - (scores[i] - scores.largest);
      if (y > 0.0 && z < infinity()) {
        const double omega = wright(z + log(y)), t = y / omega;
        total[0] += t;
        total[1] += t / (1.0 + omega);
      } else if (!(y > 0.0)) {
        total[0] += exp(-z);
        total[1] += exp(-z);
      }
    }
    block_sum(total);
    const double step = (total[0] - 1.0) / total[1];
    shift += step;
    if (!(fabs(step) > 1e-9)) break;  // the next step would be its square
  }
  double total[1] = {0.0};
  for (int i = thread(); i < scores.n; i += threads()) {
    const double y = target(i), z = shift + log_total - (scores[i] - scores.largest);
    const bool out = !(z < infinity());
    const double omega = y > 0.0 && !out ? wright(z + log(y)) : 0.0;
    const double t = y > 0.0 && !out ? y / omega : exp(-z), gap = 1.0 - omega;
    total[0] += is_nan(y) ? y : (out ? (y > 0.0 ? infinity() : 0.0) : t * gap * gap);
    g[i] = static_cast<T>(out ? 0.0 : t * gap);
  }
  block_sum(total);
  closed(loss, row, total[0], g, scores.n);
}

}  // namespace fenchel

#endif
