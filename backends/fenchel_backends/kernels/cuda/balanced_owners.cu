// The best assignment of n tokens to m experts that get n / m each, rounded down or up: a matrix
// (n, m) a block. params: number of experts.
//
// Tokens are sent one after the other along the cheapest chain of experts, as in the array-API
// reference: threads share the links into an expert, and one of them walks the chain back.
#include "block.cuh"

namespace fenchel {

template <class T>
struct Flow {
  const T *scores, *tokens;
  int n, m;
  double *distance, *next, *load;  // of each expert, and the chain that ends there
  double *token, *source;          // what comes to an expert by its chain, and from where
  double* owner;                   // of each token, m before it is sent
  int floor, extra;

  __device__ double score(int t, int e) const {
    return static_cast<double>(scores[static_cast<long long>(t) * m + e]);
  }
  __device__ bool room() const {
    int over = 0;
    for (int e = 0; e < m; ++e) over += load[e] > floor;
    return over < extra;
  }
  __device__ static double worth(double cost) { return 16.0 * 0x1p-52 * (1.0 + fabs(cost)); }

  // The cheapest way into expert f by one link from the chains there are; whether it is better.
  __device__ bool lengthen(int f, bool room) const {
    double best = infinity(), by = 0.0, from = 0.0;
    for (int t = 0; t < n; ++t) {
      const int e = static_cast<int>(owner[t]);
      if (e == m) continue;
      const double cost = distance[e] + score(t, e) - score(t, f);
      if (cost < best) best = cost, by = t, from = e;
    }
    for (int e = 0; !room && load[f] > floor && e < m; ++e) {
      if (load[e] == floor && distance[e] < best) best = distance[e], by = n, from = e;
    }
    next[f] = distance[f];
    if (!(best < distance[f] - worth(distance[f]))) return false;
    next[f] = best;
    token[f] = by;
    source[f] = from;
    return true;
  }

  // Chains from the new token, until none gets cheaper.
  __device__ void relax(int now, bool room) const {
    for (int e = thread(); e < m; e += threads()) {
      distance[e] = -score(now, e);
      token[e] = now;
      source[e] = m;
    }
    __syncthreads();
    for (int round = 0; round < m; ++round) {
      bool changed = false;
      for (int f = thread(); f < m; f += threads()) changed = lengthen(f, room) || changed;
      const bool any = block_any(changed);
      __syncthreads();
      for (int f = thread(); f < m; f += threads()) distance[f] = next[f];
      __syncthreads();
      if (!any) return;
    }
  }

  // Moves a token along each link of the cheapest chain that ends where there is room.
  __device__ void send(bool room) const {
    int end = -1;
    for (int e = 0; e < m; ++e) {
      const bool open = load[e] < floor || (room && load[e] == floor);
      if (open && (end < 0 || distance[e] < distance[end])) end = e;
    }
    load[end] += 1.0;
    for (int count = 0; count <= m && end < m; ++count) {
      const int from = static_cast<int>(source[end]);
      if (token[end] < n) {
        owner[static_cast<int>(token[end])] = end;
      } else {
        load[from] += 1.0;
        load[end] -= 1.0;
      }
      end = from;
    }
  }

  __device__ void run() {
    double count[1] = {0.0};
    for (int t = thread(); t < n; t += threads()) {
      owner[t] = m;
      count[0] += tokens[t] > T(0);
    }
    for (int e = thread(); e < m; e += threads()) load[e] = 0.0;
    block_sum(count);
    floor = static_cast<int>(count[0]) / m;
    extra = static_cast<int>(count[0]) % m;
    __syncthreads();
    for (int t = 0; t < n; ++t) {
      if (!(tokens[t] > T(0))) continue;
      const bool left = room();
      relax(t, left);
      if (thread() == 0) send(left);
      __syncthreads();
    }
  }
};

template <class T>
__device__ void balanced_owners(const Frame<T>& frame, const T* scores, const T* tokens, int n,
                                T* owners) {
  const int m = frame.n / n;
  for (long long row = blockIdx.x; row < frame.rows; row += gridDim.x) {
    double* work = frame.scratch();
    Flow<T> flow = {scores + frame.offset(row), tokens + row * n, n,            m,
                    work,                       work + m,         work + 2 * m, work + 3 * m,
                    work + 4 * m,               work + 5 * m,     0,            0};
    const bool unknown[2] = {any_nan(flow.scores, frame.n), any_nan(flow.tokens, n)};
    if (unknown[0] || unknown[1]) {
      fill(owners + row * n, n, not_a_number());
      continue;
    }
    flow.run();
    for (int t = thread(); t < n; t += threads()) owners[row * n + t] = static_cast<T>(flow.owner[t]);
    __syncthreads();
  }
}

}  // namespace fenchel

#define BALANCED_OWNERS_ARRAYS(T) const T *scores, const T *tokens, int count, T *owners
FENCHEL_EXPORT(balanced_owners, BALANCED_OWNERS_ARRAYS, scores, tokens, count, owners)
