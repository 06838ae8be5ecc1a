// Entmax loss for 1 <= alpha <= 2 and its gradient. params: alpha.
#include "loss_logistic.cuh"
#include "loss_rows.cuh"
#include "loss_sparse.cuh"

namespace fenchel {

struct EntmaxLoss {
  template <class T>
  static __device__ bool valid(const Frame<T>& frame, long long row) {
    return static_cast<double>(frame.parameters(row)[0]) >= 1.0;
  }
  template <class T, class Target>
  static __device__ void run(const Frame<T>& frame, long long row, const Scores<T>& scores, int label,
                             const Target& target, T* loss, T* g) {
    const double a = static_cast<double>(frame.parameters(row)[0]) - 1.0;
    if (a == 0.0) {
      logistic_loss(scores, label, target, loss, row, g);
    } else {
      sparse_loss(scores, a, label, target, loss, row, g);
    }
  }
};

}  // namespace fenchel

FENCHEL_EXPORT_LOSS(loss_entmax, EntmaxLoss)
