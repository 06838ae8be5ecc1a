// Segmented scans over a row: names and sums of runs of neighbouring entries.
#ifndef FENCHEL_SCAN_CUH
#define FENCHEL_SCAN_CUH

#include "block.cuh"

namespace fenchel {

// What is known at an entry about the run it belongs to: its first index and the sum so far.
struct Run {
  int head;
  double sum;
};

__device__ inline Run follow(Run left, Run right) {
  const bool opens = right.head > left.head;
  return {opens ? right.head : left.head, opens ? right.sum : left.sum + right.sum};
}

// Inclusive scan over the threads of a block, after `carry`, which moves on to the last thread's
// value. An entry that opens no run has head -1.
__device__ inline Run scan_runs(Run own, Run& carry) {
  __shared__ Run total[max_warps];
  for (int reach = 1; reach < warp_size; reach *= 2) {
    const Run before = {__shfl_up_sync(all_lanes, own.head, reach),
                        __shfl_up_sync(all_lanes, own.sum, reach)};
    if (lane() >= reach) own = follow(before, own);
  }
  if (lane() == warp_size - 1) total[warp()] = own;
  __syncthreads();
  Run before = carry;
  for (int w = 0; w < warp(); ++w) before = follow(before, total[w]);
  for (int w = 0; w < warps(); ++w) carry = follow(carry, total[w]);
  __syncthreads();
  return follow(before, own);
}

// blocks[i] = the largest j <= i with opens(j); opens(0) must hold.
template <class Opens>
__device__ void name_runs(int n, const Opens& opens, int* blocks) {
  Run carry = {-1, 0.0};
  for (int base = 0; base < n; base += threads()) {
    const int i = base + thread();
    const Run run = scan_runs({i < n && opens(i) ? i : -1, 0.0}, carry);
    if (i < n) blocks[i] = run.head;
  }
}

// Calls finish(first, last, sum of values) once for every run, on the thread of its last entry.
template <class Value, class Finish>
__device__ void for_each_run(int n, const int* blocks, const Value& value, const Finish& finish) {
  Run carry = {-1, 0.0};
  for (int base = 0; base < n; base += threads()) {
    const int i = base + thread();
    const Run own = {i < n ? blocks[i] : -1, i < n ? value(i) : 0.0};
    const Run run = scan_runs(own, carry);
    if (i < n && (i == n - 1 || blocks[i + 1] != blocks[i])) finish(run.head, i, run.sum);
  }
}

}  // namespace fenchel

#endif
