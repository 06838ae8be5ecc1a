// Runs every kernel once on real threads; built with -fsanitize=thread, which reports each access to
// shared or global memory that no barrier orders. The sources are included before this file.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>

namespace {

constexpr int rows = 3;

using Params = std::vector<double>;

// Random rows and every output buffer a kernel may want.
struct Buffers {
  int n;
  std::vector<double> x, magnitudes, sorted, weights, g, y, gx, row, residual;
  std::vector<long long> order;
  std::vector<int> blocks, count;

  explicit Buffers(int n_)
      : n(n_), x(size()), weights(size()), g(size()), y(size()), gx(size()), row(rows),
        residual(rows), order(size()), blocks(size()), count(rows) {
    std::mt19937 generator(static_cast<unsigned>(n));
    std::normal_distribution<double> normal;
    for (auto* values : {&x, &weights, &g}) {
      std::generate(values->begin(), values->end(), [&] { return normal(generator); });
    }
    for (double& weight : weights) weight = 0.5 + std::abs(weight);
    sorted = magnitudes = x;
    for (double& value : magnitudes) value = std::abs(value);
    for (int r = 0; r < rows; ++r) arrange(r * n, (r + 1) * n);
  }
  std::size_t size() const { return static_cast<std::size_t>(rows * n); }
  void arrange(int begin, int end) {
    std::sort(sorted.begin() + begin, sorted.begin() + end, std::greater<>());
    for (int i = begin; i < end; ++i) order[i] = i - begin;
    std::sort(order.begin() + begin, order.begin() + end,
              [&](long long a, long long b) { return x[begin + a] < x[begin + b]; });
  }
};

template <class Kernel, class... Arrays>
void call(Kernel kernel, const Buffers& buffers, const Params& params, Arrays... arrays) {
  kernel(rows, buffers.n, params.data(), 1, static_cast<int>(params.size()), nullptr,
         3LL * buffers.n, arrays...);
}

void thresholds(Buffers& b) {
  double *x = b.x.data(), *t = b.row.data();
  call(mask_threshold_float64, b, {2.5, 0.7, 2}, x, t);
  call(magnitude_threshold_float64, b, {2, 0.7, 1.5}, b.magnitudes.data(), t);
  call(entmax_threshold_float64, b, {1.5}, x, t);
  call(normmax_threshold_float64, b, {1.5}, x, t);
  call(section_start_float64, b, {0.5}, x, x, b.sorted.data(), b.weights.data(), t);
  call(topk_pav_threshold_float64, b, {2, 0.7, 3, 0}, b.sorted.data(), t, b.count.data());
}

void matrices(Buffers& b) {
  // a row is a matrix of one row: vectors of rows have one entry, those of columns n
  call(sinkhorn_columns_float64, b, {0, 5}, b.x.data(), b.row.data(), b.row.data(), b.g.data(), b.n,
       b.y.data());
}

void isotonic(Buffers& b) {
  double *x = b.x.data(), *w = b.weights.data(), *fit = b.y.data();
  int* blocks = b.blocks.data();
  call(isotonic_blocks_float64, b, {1}, x, blocks);
  call(weighted_isotonic_blocks_float64, b, {1}, x, w, blocks);
  call(kl_isotonic_blocks_float64, b, {1}, x, w, blocks);
  call(pnorm_isotonic_blocks_float64, b, {3, 1}, x, w, blocks, fit);
  call(dykstra_float64, b, {9, 1e-9, 1}, x, w, blocks, fit, b.count.data(), b.residual.data());
}

void fused(Buffers& b) {
  double *x = b.x.data(), *g = b.g.data(), *y = b.y.data(), *gx = b.gx.data(), *t = b.row.data();
  const long long* order = b.order.data();
  int* blocks = b.blocks.data();
  call(fused_topk_mask_float64, b, {2, 0.7, 2}, x, y, t);
  call(fused_topk_mask_vjp_float64, b, {2, 0.7, 2}, g, x, y, t, gx);
  call(fused_topk_magnitude_float64, b, {2, 0.7, 1.5, 1}, x, y, t);
  call(fused_topk_magnitude_vjp_float64, b, {2, 0.7, 1.5, 1}, g, x, y, t, gx);
  call(fused_entmax_float64, b, {1.5}, x, y, t);
  call(fused_entmax_vjp_float64, b, {1.5}, g, x, y, t, gx);
  call(fused_isotonic_float64, b, {1}, x, y, blocks);
  call(fused_isotonic_vjp_float64, b, {1}, g, x, y, blocks, gx);
  call(fused_soft_rank_float64, b, {0.6}, x, order, y, blocks);
  call(fused_soft_rank_vjp_float64, b, {0.6}, g, x, order, y, blocks, gx);
  call(fused_soft_sort_float64, b, {0.6, 1}, x, order, y, blocks);
  call(fused_soft_sort_vjp_float64, b, {0.6, 1}, g, x, order, y, blocks, gx);
}

}  // namespace

int main() {
  for (int n : {1, 5, 8, 37}) {
    Buffers buffers(n);
    fenchel_shim_configure(2, 8, 3LL * n);
    thresholds(buffers);
    matrices(buffers);
    isotonic(buffers);
    fused(buffers);
    if (fenchel_shim_divergences() != 0) return 1;
  }
  std::puts("no races");
}
