#include "ionstride/moments.hpp"

#include "clones.hpp"

#include "ionstride/parallel.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ionstride {
namespace {

constexpr std::size_t kLanes = 4;        // independent sums, side by side in a vector register
constexpr std::size_t kBlock = 512;      // origins per partial sum: rounding grows with blocks, not origins
constexpr std::size_t kLagsPerTask = 16; // where a few ions must feed many threads
constexpr std::size_t kLeastWork = std::size_t{1} << 18; // pairs of frames that are worth a thread

// Wherever such a group lies in an array of numbers, it may be taken for one.
using Lanes =
    double __attribute__((vector_size(kLanes * sizeof(double)), aligned(sizeof(double)), may_alias));

inline const Lanes *at(const double *numbers) {
    return reinterpret_cast<const Lanes *>(numbers);
}

// The path of one ion, from some origin on: x, y and z apart, so that a register holds one of them at four
// times.
struct Path {
    const double *x;
    const double *y;
    const double *z;
};

// Seven sums, each in as many lanes.
struct Sums {
    Lanes xx{}, yy{}, zz{}, xy{}, xz{}, yz{}, fourth{};

    void add(const Lanes &dx, const Lanes &dy, const Lanes &dz) {
        const Lanes dxx = dx * dx;
        const Lanes dyy = dy * dy;
        const Lanes dzz = dz * dz;
        const Lanes square = dxx + dyy + dzz;
        xx += dxx;
        yy += dyy;
        zz += dzz;
        xy += dx * dy;
        xz += dx * dz;
        yz += dy * dz;
        fourth += square * square;
    }

    void add(const Sums &other) {
        xx += other.xx;
        yy += other.yy;
        zz += other.zz;
        xy += other.xy;
        xz += other.xz;
        yz += other.yz;
        fourth += other.fourth;
    }
};

// Add the sums over the first `count` origins of the path, kBlock at most.
IONSTRIDE_CLONES
void add_block(const Path &path, std::size_t lag, std::size_t count, Sums &total) {
    const double *x = path.x;
    const double *y = path.y;
    const double *z = path.z;
    Sums sum;
    std::size_t t = 0;
    for (; t + kLanes <= count; t += kLanes) {
        sum.add(*at(x + t + lag) - *at(x + t), *at(y + t + lag) - *at(y + t), *at(z + t + lag) - *at(z + t));
    }
    Lanes dx{};
    Lanes dy{};
    Lanes dz{};
    for (std::size_t lane = 0; t < count; ++t, ++lane) {
        dx[lane] = x[t + lag] - x[t];
        dy[lane] = y[t + lag] - y[t];
        dz[lane] = z[t + lag] - z[t];
    }
    sum.add(dx, dy, dz);
    total.add(sum);
}

double mean(const Lanes &sum, std::size_t origins) {
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) / static_cast<double>(origins);
}

IONSTRIDE_CLONES
void take_apart(const double *r, std::size_t frames, double *x, double *y, double *z) {
    for (std::size_t t = 0; t < frames; ++t) {
        x[t] = r[3 * t];
        y[t] = r[3 * t + 1];
        z[t] = r[3 * t + 2];
    }
}

} // namespace

void displacement_moments(View<const double, 3> r_A, View<const std::int64_t, 1> lags, View<double, 3> tensor,
                          View<double, 2> fourth, int threads) {
    const std::size_t ions = r_A.shape[0];
    const std::size_t frames = r_A.shape[1];
    const std::size_t n_lags = lags.shape[0];
    for (std::size_t m = 0; m < n_lags; ++m) {
        if (lags.data[m] < 1 || static_cast<std::size_t>(lags.data[m]) >= frames) {
            throw std::invalid_argument("lags[" + std::to_string(m) + "] is " + std::to_string(lags.data[m]) +
                                        ", wanted 1 to " + std::to_string(frames == 0 ? 0 : frames - 1) +
                                        " frames for paths of " + std::to_string(frames) + " frames");
        }
    }
    const std::size_t worth = ions * frames * n_lags / kLeastWork;
    threads = static_cast<int>(std::clamp<std::size_t>(worth, 1, resolve_threads(threads)));
    // An ion is taken apart once, for all lags, unless that leaves threads without work.
    const bool many_ions = ions >= 4 * resolve_threads(threads);
    const std::size_t lags_per_task =
        std::max<std::size_t>(1, many_ions ? n_lags : std::min(n_lags, kLagsPerTask));
    const std::size_t groups = (n_lags + lags_per_task - 1) / lags_per_task;
    run_tasks(ions * groups, threads, [&](std::size_t task) {
        const std::size_t ion = task / groups;
        const std::size_t first = (task % groups) * lags_per_task;
        const std::size_t last = std::min(n_lags, first + lags_per_task);

        const std::unique_ptr<double[]> scratch(new double[3 * frames]);
        double *x = scratch.get();
        double *y = x + frames;
        double *z = y + frames;
        take_apart(r_A.row(ion), frames, x, y, z);

        // All lags for one block of origins before the next block: it stays in the nearest cache.
        std::vector<Sums> sums(last - first);
        for (std::size_t t = 0; t < frames; t += kBlock) {
            for (std::size_t m = first; m < last; ++m) {
                const auto lag = static_cast<std::size_t>(lags.data[m]);
                if (t < frames - lag) {
                    add_block({x + t, y + t, z + t}, lag, std::min(frames - lag - t, kBlock),
                              sums[m - first]);
                }
            }
        }
        for (std::size_t m = first; m < last; ++m) {
            const std::size_t origins = frames - static_cast<std::size_t>(lags.data[m]);
            const Sums &sum = sums[m - first];
            double *out = tensor.row(ion) + 6 * m;
            for (const Lanes *moment : {&sum.xx, &sum.yy, &sum.zz, &sum.xy, &sum.xz, &sum.yz}) {
                *out++ = mean(*moment, origins);
            }
            fourth.row(ion)[m] = mean(sum.fourth, origins);
        }
    });
}

} // namespace ionstride
