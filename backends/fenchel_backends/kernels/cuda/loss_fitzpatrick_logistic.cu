// Fitzpatrick logistic loss and its gradient.
#include "loss_wright.cuh"
#include "loss_rows.cuh"

namespace fenchel {

struct FitzpatrickLogisticLoss {
  template <class T>
  static __device__ bool valid(const Frame<T>&, long long) {
    return true;
  }
  template <class T, class Target>
  static __device__ void run(const Frame<T>&, long long row, const Scores<T>& scores, int label,
                             const Target& target, T* loss, T* g) {
    fitzpatrick_logistic_loss(scores, label, target, loss, row, g);
  }
};

}  // namespace fenchel

FENCHEL_EXPORT_LOSS(loss_fitzpatrick_logistic, FitzpatrickLogisticLoss)
