#include "ionstride/multitau.hpp"

#include "ionstride/parallel.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

// As in moments.cpp: AVX2 where the machine has it, the same bits everywhere.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define IONSTRIDE_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define IONSTRIDE_CLONES
#endif

namespace ionstride {
namespace {

constexpr std::size_t kLanes = 8;        // series side by side in the vector registers
constexpr std::size_t kMoments = 7;      // six of the tensor and |Δ|⁴
constexpr std::size_t kRow = 3 * kLanes; // one frame of a tile: x of all lanes, then y, then z
constexpr std::size_t kPartial = kMoments * kLanes;
constexpr std::size_t kLongest = 15;    // longest lag of a level, in its own frames
constexpr std::size_t kShortest = 8;    // shortest lag of the levels above the first
constexpr std::size_t kStretch = 128;   // frames treated at a time: they stay in the cache
constexpr std::size_t kFlush = 1024;    // origins per partial sum: rounding grows with these, not origins
constexpr std::size_t kMinBlocked = 64; // frames a run must have to be cut into blocks

std::size_t divide_up(std::size_t a, std::size_t b) {
    return a / b + (a % b == 0 ? 0 : 1);
}

// Add the moments of `count` pairs of frames to the sums of one lag.
IONSTRIDE_CLONES
void add_pairs(const double *from, const double *to, std::size_t count, double *partial) {
    std::array<std::array<double, kLanes>, kMoments> sum;
    for (std::size_t k = 0; k < kMoments; ++k) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            sum[k][lane] = partial[k * kLanes + lane];
        }
    }
    for (std::size_t pair = 0; pair < count; ++pair, from += kRow, to += kRow) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const double dx = to[lane] - from[lane];
            const double dy = to[kLanes + lane] - from[kLanes + lane];
            const double dz = to[2 * kLanes + lane] - from[2 * kLanes + lane];
            const double xx = dx * dx;
            const double yy = dy * dy;
            const double zz = dz * dz;
            const double square = xx + yy + zz;
            sum[0][lane] += xx;
            sum[1][lane] += yy;
            sum[2][lane] += zz;
            sum[3][lane] += dx * dy;
            sum[4][lane] += dx * dz;
            sum[5][lane] += dy * dz;
            sum[6][lane] += square * square;
        }
    }
    for (std::size_t k = 0; k < kMoments; ++k) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            partial[k * kLanes + lane] = sum[k][lane];
        }
    }
}

// NaN and infinity times zero are NaN, everything else adds nothing.
bool all_finite(const double *values, std::size_t count) {
    std::array<double, kLanes> sum{};
    std::size_t k = 0;
    for (; k + kLanes <= count; k += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            sum[lane] += 0.0 * values[k + lane];
        }
    }
    for (; k < count; ++k) {
        sum[0] += 0.0 * values[k];
    }
    return std::all_of(sum.begin(), sum.end(), [](double value) { return value == 0.0; });
}

void check_finite(View<const double, 3> positions_A, std::size_t first_frame) {
    for (std::size_t t = 0; t < positions_A.shape[0]; ++t) {
        const double *row = positions_A.row(t);
        const std::size_t values = positions_A.row_size();
        if (!all_finite(row, values)) {
            const double *bad = std::find_if(row, row + values, [](double x) { return !std::isfinite(x); });
            throw std::invalid_argument("positions_A holds a value that is not finite at frame " +
                                        std::to_string(first_frame + t) + " of the run, series " +
                                        std::to_string((bad - row) / 3) + "; remove or repair that frame");
        }
    }
}

} // namespace

std::vector<TauLag> multitau_lags(std::size_t frames) {
    std::vector<TauLag> lags;
    for (std::size_t m = 1; m <= kLongest && m <= frames / 2; ++m) {
        lags.push_back({m, 1});
    }
    for (std::size_t step = 2; step <= frames / 2 / kShortest; step *= 2) {
        for (std::size_t m = kShortest; m <= kLongest && m <= frames / 2 / step; ++m) {
            lags.push_back({m * step, step});
        }
    }
    return lags;
}

MultiTau::MultiTau(std::size_t series, std::size_t frames)
    : series_(series), frames_(frames), block_(frames < kMinBlocked ? 0 : frames / kBlocks),
      lags_(multitau_lags(frames)) {
    if (frames < 2) {
        throw std::invalid_argument("n_frames is " + std::to_string(frames) + ", wanted two or more");
    }
    for (std::size_t step = lags_.back().step; step > 1; step /= 2) {
        ++levels_;
    }
    const std::size_t tiles = divide_up(series, kLanes);
    history_.resize(tiles * levels_ * kLongest * kRow);
    partial_.resize(tiles * lags_.size() * kPartial);
    tensor_.resize(series * lags_.size() * 6);
    fourth_.resize(series * lags_.size());
    node_.resize(series * kNodes * lags_.size());
}

// Smallest node that holds both frames of the pair that starts at the origin-th multiple of lag.step.
std::size_t MultiTau::node_of(const TauLag &lag, std::size_t origin) const {
    const std::size_t first = origin * lag.step;
    const std::size_t last = first + lag.frames;
    if (block_ == 0 || last >= kBlocks * block_) {
        return kNone;
    }
    // Counted from one, the parent of k is k / 2.
    std::size_t a = kBlocks + first / block_;
    std::size_t b = kBlocks + last / block_;
    while (a != b) {
        a /= 2;
        b /= 2;
    }
    return a - 1;
}

// First origin after `origin` where a partial sum ends: it depends on the numbers of the frames alone.
std::size_t MultiTau::segment_end(const TauLag &lag, std::size_t origin) const {
    std::size_t end = (origin / kFlush + 1) * kFlush;
    const std::size_t first = origin * lag.step;
    const std::size_t last = first + lag.frames;
    if (block_ > 0 && last < kBlocks * block_) {
        for (const std::size_t frame : {first, last}) {
            end = std::min(end, origin + divide_up((frame / block_ + 1) * block_ - frame, lag.step));
        }
    }
    return end;
}

std::size_t MultiTau::origins_seen(const TauLag &lag) const {
    return seen_ > lag.frames ? (seen_ - 1 - lag.frames) / lag.step + 1 : 0;
}

void MultiTau::add(View<const double, 3> positions_A, int threads) {
    const std::size_t count = positions_A.shape[0];
    if (positions_A.shape[1] != series_) {
        throw std::invalid_argument("positions_A holds " + std::to_string(positions_A.shape[1]) +
                                    " series, wanted " + std::to_string(series_));
    }
    if (count > frames_ - seen_) {
        throw std::invalid_argument("positions_A holds " + std::to_string(count) + " frames after " +
                                    std::to_string(seen_) + ", wanted no more than the " +
                                    std::to_string(frames_) + " that n_frames announced");
    }
    resolve_threads(threads);
    check_finite(positions_A, seen_);
    run_tasks(divide_up(series_, kLanes), threads, [&](std::size_t tile) { add_tile(tile, positions_A); });
    seen_ += count;
}

void MultiTau::add_tile(std::size_t tile, View<const double, 3> positions_A) {
    const std::size_t first_series = tile * kLanes;
    const std::size_t lanes = std::min(kLanes, series_ - first_series);
    std::vector<double> stretch(kStretch * kRow); // lanes without a series stay zero
    for (std::size_t begin = 0; begin < positions_A.shape[0]; begin += kStretch) {
        const std::size_t count = std::min(kStretch, positions_A.shape[0] - begin);
        for (std::size_t t = 0; t < count; ++t) {
            const double *from = positions_A.row(begin + t) + 3 * first_series;
            double *to = stretch.data() + t * kRow;
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                to[lane] = from[3 * lane];
                to[kLanes + lane] = from[3 * lane + 1];
                to[2 * kLanes + lane] = from[3 * lane + 2];
            }
        }
        for (std::size_t level = 0; level < levels_; ++level) {
            add_level(tile, level, seen_ + begin, seen_ + begin + count, stretch.data());
        }
    }
}

// Treat the multiples of 2^level among the frames begin … end-1, whose positions are in `rows`.
void MultiTau::add_level(std::size_t tile, std::size_t level, std::size_t begin, std::size_t end,
                         const double *rows) {
    const std::size_t step = std::size_t{1} << level;
    const std::size_t first = divide_up(begin, step); // in frames of this level
    const std::size_t stop = divide_up(end, step);
    if (first == stop) {
        return;
    }
    // The last positions of this level and the new ones, in a row: at[0] is frame first - 15.
    std::array<double, (kLongest + kStretch) * kRow> at;
    double *history = history_.data() + (tile * levels_ + level) * kLongest * kRow;
    std::copy_n(history, kLongest * kRow, at.data());
    for (std::size_t i = first; i < stop; ++i) {
        std::copy_n(rows + (i * step - begin) * kRow, kRow, at.data() + (kLongest + i - first) * kRow);
    }
    std::copy_n(at.data() + (stop - first) * kRow, kLongest * kRow, history);

    for (std::size_t m = 0; m < lags_.size(); ++m) {
        const TauLag &lag = lags_[m];
        const std::size_t reach = lag.frames / step; // the lag in frames of this level
        if (lag.step != step || stop <= reach) {
            continue;
        }
        double *partial = partial_.data() + (tile * lags_.size() + m) * kPartial;
        const std::size_t last = stop - reach;
        for (std::size_t origin = first > reach ? first - reach : 0; origin < last;) {
            const std::size_t segment = segment_end(lag, origin);
            const std::size_t until = std::min(segment, last);
            const double *from = at.data() + (kLongest + origin - first) * kRow;
            add_pairs(from, from + reach * kRow, until - origin, partial);
            if (until == segment) {
                flush(tile, m, node_of(lag, origin));
            }
            origin = until;
        }
    }
}

void MultiTau::flush(std::size_t tile, std::size_t lag, std::size_t node) {
    const std::size_t n_lags = lags_.size();
    double *partial = partial_.data() + (tile * n_lags + lag) * kPartial;
    const std::size_t lanes = std::min(kLanes, series_ - tile * kLanes);
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        const std::size_t i = tile * kLanes + lane;
        const double *sum = partial + lane;
        for (std::size_t k = 0; k < 6; ++k) {
            tensor_[(i * n_lags + lag) * 6 + k] += sum[k * kLanes];
        }
        fourth_[i * n_lags + lag] += sum[6 * kLanes];
        if (node != kNone) {
            node_[(i * kNodes + node) * n_lags + lag] += sum[0] + sum[kLanes] + sum[2 * kLanes];
        }
    }
    std::fill_n(partial, kPartial, 0.0);
}

void MultiTau::results(View<double, 3> tensor, View<double, 2> fourth, View<std::int64_t, 1> origins,
                       View<double, 3> node_sum, View<std::int64_t, 2> node_count) const {
    const std::size_t n_lags = lags_.size();
    std::copy(tensor_.begin(), tensor_.end(), tensor.data);
    std::copy(fourth_.begin(), fourth_.end(), fourth.data);
    std::copy(node_.begin(), node_.end(), node_sum.data);
    std::fill_n(node_count.data, node_count.size(), 0);
    for (std::size_t m = 0; m < n_lags; ++m) {
        const TauLag &lag = lags_[m];
        const std::size_t count = origins_seen(lag);
        origins.data[m] = static_cast<std::int64_t>(count);
        std::size_t open = kNone; // node of the sums that are still partial
        for (std::size_t origin = 0; origin < count;) {
            open = node_of(lag, origin);
            const std::size_t until = std::min(segment_end(lag, origin), count);
            if (open != kNone) {
                node_count.row(open)[m] += static_cast<std::int64_t>(until - origin);
            }
            origin = until;
        }
        const double pairs =
            count == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(count);
        for (std::size_t i = 0; i < series_; ++i) {
            const double *sum = partial_.data() + (i / kLanes * n_lags + m) * kPartial + i % kLanes;
            double *mean = tensor.row(i) + 6 * m;
            for (std::size_t k = 0; k < 6; ++k) {
                mean[k] = (mean[k] + sum[k * kLanes]) / pairs;
            }
            fourth.row(i)[m] = (fourth.row(i)[m] + sum[6 * kLanes]) / pairs;
            if (open != kNone) {
                node_sum.row(i)[open * n_lags + m] += sum[0] + sum[kLanes] + sum[2 * kLanes];
            }
        }
    }
}

} // namespace ionstride
