// Runs the kernels as plain C++ on the host, so that they are tested on machines without a GPU.
//
// Serial mode (default): one thread a block; barriers are empty and shuffles the identity.
// Thread mode (-DFENCHEL_SHIM_THREADS): every block runs on real threads in warps of four, with
// real barriers, so that reductions, scans and merges meet the interleavings a GPU would produce.
// Blocks run one after another in both modes, hence shared memory is simply static.
#pragma once

#include <atomic>
#include <barrier>
#include <cmath>
#include <cstring>
#include <deque>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(THREADS)

struct FenchelIndex {
  unsigned x;
};
inline thread_local FenchelIndex threadIdx{0};
inline FenchelIndex blockIdx{0};
inline FenchelIndex blockDim{1};
inline FenchelIndex gridDim{1};

using std::fmax;
using std::fmin;

namespace fenchel_shim {

#ifdef FENCHEL_SHIM_THREADS
constexpr int warp_size = 4;
#else
constexpr int warp_size = 1;
#endif
constexpr int max_threads = 64;

inline std::vector<double> shared(1);
inline std::atomic<int> divergences{0};

#ifdef FENCHEL_SHIM_THREADS

inline std::barrier<>* block_barrier = nullptr;
inline std::deque<std::barrier<>> warp_barriers;
inline thread_local long block_waits = 0;
inline double slots[max_threads];

inline void warp_wait() { warp_barriers[threadIdx.x / warp_size].arrive_and_wait(); }

inline void block_wait() {
  ++block_waits;
  block_barrier->arrive_and_wait();
}

template <class V>
V exchange(V value, unsigned source) {
  static_assert(sizeof(V) <= sizeof(double), "shuffles move at most eight bytes");
  std::memcpy(&slots[threadIdx.x], &value, sizeof(V));
  warp_wait();
  V received;
  std::memcpy(&received, &slots[source], sizeof(V));
  warp_wait();
  return received;
}

// A thread that leaves early drops out of its barriers instead of hanging the others; unequal
// numbers of barriers passed are counted as divergence, which on a GPU is undefined behaviour.
template <class Call>
void run_block(const Call& call) {
  const unsigned threads = blockDim.x;
  std::barrier<> whole(static_cast<std::ptrdiff_t>(threads));
  block_barrier = &whole;
  warp_barriers.clear();
  for (unsigned begin = 0; begin < threads; begin += warp_size) warp_barriers.emplace_back(warp_size);
  std::vector<long> waits(threads);
  std::vector<std::thread> pool;
  for (unsigned index = 0; index < threads; ++index) {
    pool.emplace_back([&, index] {
      threadIdx.x = index;
      block_waits = 0;
      call();
      waits[index] = block_waits;
      warp_barriers[index / warp_size].arrive_and_drop();
      whole.arrive_and_drop();
    });
  }
  for (auto& thread : pool) thread.join();
  for (long count : waits) divergences += count != waits[0];
}

#else

inline void block_wait() {}
template <class V>
V exchange(V value, unsigned) {
  return value;
}
template <class Call>
void run_block(const Call& call) {
  call();
}

#endif

template <class Call>
void launch(const Call& call) {
  for (unsigned block = 0; block < gridDim.x; ++block) {
    blockIdx.x = block;
    run_block(call);
  }
}

}  // namespace fenchel_shim

inline void __syncthreads() { fenchel_shim::block_wait(); }

template <class V>
V __shfl_xor_sync(unsigned, V value, int mask) {
  return fenchel_shim::exchange(value, threadIdx.x ^ static_cast<unsigned>(mask));
}

template <class V>
V __shfl_up_sync(unsigned, V value, int delta) {
  const int lane = static_cast<int>(threadIdx.x) % fenchel_shim::warp_size;
  return fenchel_shim::exchange(value, threadIdx.x - static_cast<unsigned>(lane < delta ? 0 : delta));
}

inline double __longlong_as_double(long long bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline long long __double_as_longlong(double value) {
  long long bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// A product that no compiler may fuse with a sum.
inline double __dmul_rn(double a, double b) { return a * b; }

// Sets the launch the next kernels use; returns the warp size (1 in serial mode).
extern "C" int fenchel_shim_configure(int grid, int block, long long shared_doubles) {
  gridDim.x = static_cast<unsigned>(grid);
  blockDim.x = static_cast<unsigned>(fenchel_shim::warp_size == 1 ? 1 : block);
  fenchel_shim::shared.assign(static_cast<std::size_t>(shared_doubles) + 1, 0.0);
  fenchel_shim::divergences = 0;
  return fenchel_shim::warp_size;
}

// Threads that passed another number of barriers than their block's first thread, so far.
extern "C" int fenchel_shim_divergences() { return fenchel_shim::divergences; }
