// Logistic loss: log(1 + sum over the others of exp(x_j - x_k)) for a class, in which the others are
// summed by themselves; sum y log(y/p) - y + p for label proportions, every term at least 0.
#ifndef FENCHEL_LOSS_LOGISTIC_CUH
#define FENCHEL_LOSS_LOGISTIC_CUH

#include "loss.cuh"

namespace fenchel {

// Class of a row of proportions that is 1 there and 0 elsewhere, -1 for others: at a class the loss
// keeps the digits that 1 - p has lost.
template <class Target>
__device__ int only_class(const Target& target, int n) {
  double found[2] = {0.0, 0.0};
  for (int i = thread(); i < n; i += threads()) {
    const double y = target(i);
    if (y == 0.0) continue;
    found[0] += y == 1.0 ? 1.0 : 2.0;
    found[1] += static_cast<double>(i);
  }
  block_sum(found);
  return found[0] == 1.0 ? static_cast<int>(found[1]) : -1;
}

// Sum of exp(x - largest) over the entries other than `skip`.
template <class T>
__device__ double sum_of_others(const Scores<T>& scores, int skip) {
  double total[1] = {0.0};
  for (int i = thread(); i < scores.n; i += threads()) {
    if (i != skip) total[0] += exp(scores[i] - scores.largest);
  }
  block_sum(total);
  return total[0];
}

// Writes the gradient of a class: share * softmax over the others, -share at the class; 0 where an
// entry is out.
template <class T>
__device__ void write_class(const Scores<T>& scores, int label, double factor, double share, T* g) {
  for (int i = thread(); i < scores.n; i += threads()) {
    const double x = scores[i];
    const double p = i == label ? -share : factor * exp(x - scores.largest);
    g[i] = static_cast<T>(x > -infinity() ? p : 0.0);
  }
}

template <class T>
__device__ void logistic_class(const Scores<T>& scores, int label, T* loss, long long row, T* g) {
  const double rest = sum_of_others(scores, label), below = scores.largest - scores[label];
  const double total = rest + exp(-below);
  write_class(scores, label, 1.0 / total, rest / total, g);
  write_once(loss, row, below > 0.0 ? below + log(total) : log1p(rest));
}

// y log(y/p) - y + p, by a series where they are close.
__device__ inline double divergence(double y, double p, double log_p) {
  if (y == 0.0) return p;
  const double u = (y - p) / (y + p), z = u * u;
  if (!(z < 0.029)) return y * (log(y) - log_p) - (y - p);
  double b = 0.0;
  for (int n = 19; n >= 3; n -= 2) b = b * z + 1.0 / n;
  return (y + p) * z * (1.0 + u * (1.0 + u) * b);
}

template <class T, class Target>
__device__ void logistic_loss(const Scores<T>& scores, int label, const Target& target, T* loss,
                              long long row, T* g) {
  const int only = label >= 0 ? label : only_class(target, scores.n);
  if (only >= 0) {
    logistic_class(scores, only, loss, row, g);
    return;
  }
  const double log_total = log(sum_of_others(scores, -1));
  double total[1] = {0.0};
  for (int i = thread(); i < scores.n; i += threads()) {
    const double y = target(i), log_p = (scores[i] - scores.largest) - log_total, p = exp(log_p);
    total[0] += divergence(y, p, log_p);
    g[i] = static_cast<T>(log_p > -infinity() ? p - y : 0.0);
  }
  block_sum(total);
  closed(loss, row, total[0], g, scores.n);
}

}  // namespace fenchel

#endif
