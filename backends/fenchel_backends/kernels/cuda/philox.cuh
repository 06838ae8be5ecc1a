// Normal numbers of a RandomStream: Philox4x32-10 and the method of Box and Muller.
#ifndef FENCHEL_PHILOX_CUH
#define FENCHEL_PHILOX_CUH

namespace fenchel {

struct PhiloxWords {
  unsigned w[4];
};

__device__ inline PhiloxWords philox(unsigned long long block, const unsigned long long* place) {
  unsigned c[4] = {static_cast<unsigned>(block), static_cast<unsigned>(place[1]),
                   static_cast<unsigned>(place[2]), static_cast<unsigned>(place[3])};
  unsigned k0 = static_cast<unsigned>(place[0]), k1 = static_cast<unsigned>(place[0] >> 32);
  for (int turn = 0; turn < 10; ++turn) {
    const unsigned long long p0 = 0xD2511F53ULL * c[0], p1 = 0xCD9E8D57ULL * c[2];
    const unsigned high0 = static_cast<unsigned>(p0 >> 32), high1 = static_cast<unsigned>(p1 >> 32);
    c[0] = high1 ^ c[1] ^ k0;
    c[2] = high0 ^ c[3] ^ k1;
    c[1] = static_cast<unsigned>(p1);
    c[3] = static_cast<unsigned>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c[0], c[1], c[2], c[3]}};
}

__device__ inline double normal_of(double u, double angle, long long odd) {
  const double radius = sqrt(-2.0 * log1p(-u));
  return radius * (odd ? sin(angle) : cos(angle));
}

// The entry-th number of a stream; neighbours share a block, which is kept.
template <class T>
class StreamNormals {
 public:
  __device__ explicit StreamNormals(const unsigned long long* place) : place_(place), block_(-1) {}

  __device__ double at(long long entry) {
    const int numbers = sizeof(T) == 8 ? 2 : 4;
    if (entry / numbers != block_) {
      block_ = entry / numbers;
      words_ = philox(static_cast<unsigned long long>(block_), place_);
    }
    const unsigned* w = words_.w;
    if (sizeof(T) == 8) {
      const double u = ((w[0] >> 5) * 67108864.0 + (w[1] >> 6)) * 1.1102230246251565e-16;
      const double v = ((w[2] >> 5) * 67108864.0 + (w[3] >> 6)) * 1.1102230246251565e-16;
      return normal_of(u, turn * v, entry % 2);
    }
    const unsigned* pair = w + 2 * ((entry % 4) / 2);
    // In single precision the angle is rounded, as it is in the formula.
    const float angle = static_cast<float>(turn) * ((pair[1] >> 8) * 5.9604644775390625e-08f);
    return normal_of((pair[0] >> 8) * 5.9604644775390625e-08, angle, entry % 2);
  }

 private:
  static constexpr double turn = 6.283185307179586476925;
  const unsigned long long* place_;
  long long block_;
  PhiloxWords words_;
};

}  // namespace fenchel

#endif
