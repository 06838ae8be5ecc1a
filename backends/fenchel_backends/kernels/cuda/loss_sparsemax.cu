// Sparsemax loss and its gradient.
#include "loss_sparse.cuh"
#include "loss_rows.cuh"

namespace fenchel {

struct SparsemaxLoss {
  template <class T>
  static __device__ bool valid(const Frame<T>&, long long) {
    return true;
  }
  template <class T, class Target>
  static __device__ void run(const Frame<T>&, long long row, const Scores<T>& scores, int label,
                             const Target& target, T* loss, T* g) {
    sparse_loss(scores, 1.0, label, target, loss, row, g);
  }
};

}  // namespace fenchel

FENCHEL_EXPORT_LOSS(loss_sparsemax, SparsemaxLoss)
