// One Langevin step of a mixture of Gaussians, a particle a thread; the rows are the particles.
// params: step size, scale of the noise, precision. The noise is given, or drawn from a stream:
// seed, step, slot and number a row of `places`, each for an equal share of the particles.
#include "block.cuh"
#include "philox.cuh"

namespace fenchel {

// Coordinates of the expected mean that a thread holds at once.
constexpr int langevin_width = 8;

template <class T>
struct Mixture {
  const T *means, *logits;
  int k, d;
  double precision;

  // Logarithm of a weighted component, without what all of them share.
  __device__ double height(const T* x, int i) const {
    double near = 0.0;
    for (int j = 0; j < d; ++j) {
      const double mean = means[i * d + j];
      near += mean * (static_cast<double>(x[j]) - 0.5 * mean);
    }
    return static_cast<double>(logits[i]) + precision * near;
  }
};

template <class T>
__device__ void move_particle(const Mixture<T>& mixture, const T* params, const T* x,
                              const T* noise, StreamNormals<T>& drawn, long long first, T* y) {
  const int d = mixture.d;
  double top = -infinity();
  for (int i = 0; i < mixture.k; ++i) top = larger(top, mixture.height(x, i));
  for (int begin = 0; begin < d; begin += langevin_width) {
    const int count = d - begin < langevin_width ? d - begin : langevin_width;
    double total = 0.0, mixed[langevin_width] = {0.0};
    for (int i = 0; i < mixture.k; ++i) {
      const double share = exp(mixture.height(x, i) - top);
      total += share;
      for (int j = 0; j < count; ++j) mixed[j] += share * mixture.means[i * d + begin + j];
    }
    for (int j = 0; j < count; ++j) {
      const double gradient = mixture.precision * (x[begin + j] - mixed[j] / total);
      const double random = noise ? static_cast<double>(noise[begin + j]) : drawn.at(first + begin + j);
      y[begin + j] = static_cast<T>(x[begin + j] - params[0] * gradient + params[1] * random);
    }
  }
}

template <class T>
__device__ void langevin_mixture(const Frame<T>& frame, const T* x, const T* means, const T* logits,
                                 int k, const T* noise, const unsigned long long* places, int streams,
                                 T* y) {
  const T* params = frame.parameters(0);
  const Mixture<T> mixture = {means, logits, k, frame.n, static_cast<double>(params[2])};
  const long long share = frame.rows / streams;
  const long long stride = static_cast<long long>(gridDim.x) * threads();
  for (long long row = static_cast<long long>(blockIdx.x) * threads() + thread(); row < frame.rows;
       row += stride) {
    StreamNormals<T> drawn(noise ? nullptr : places + 4 * (row / share));
    const long long at = frame.offset(row);
    const T* given = noise ? noise + at : nullptr;
    move_particle(mixture, params, x + at, given, drawn, (row % share) * frame.n, y + at);
  }
}

}  // namespace fenchel

#define LANGEVIN_MIXTURE_ARRAYS(T)                                   \
  const T *x, const T *means, const T *logits, int k, const T *noise, \
      const unsigned long long *places, int streams, T *y
FENCHEL_EXPORT(langevin_mixture, LANGEVIN_MIXTURE_ARRAYS, x, means, logits, k, noise, places, streams,
               y)
