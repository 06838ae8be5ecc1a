// Entmax loss at alpha = 1.5 and its gradient.
#include "loss_sparse.cuh"
#include "loss_rows.cuh"

namespace fenchel {

struct Entmax15Loss {
  template <class T>
  static __device__ bool valid(const Frame<T>&, long long) {
    return true;
  }
  template <class T, class Target>
  static __device__ void run(const Frame<T>&, long long row, const Scores<T>& scores, int label,
                             const Target& target, T* loss, T* g) {
    sparse_loss(scores, 0.5, label, target, loss, row, g);
  }
};

}  // namespace fenchel

FENCHEL_EXPORT_LOSS(loss_entmax15, Entmax15Loss)
