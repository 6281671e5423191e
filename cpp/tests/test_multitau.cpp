#include "check.hpp"

#include "ionstride/moments.hpp"
#include "ionstride/multitau.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

using namespace ionstride;

namespace {

struct Result {
    std::vector<double> tensor;
    std::vector<double> fourth;
    std::vector<std::int64_t> origins;
    std::vector<double> node_sum;
    std::vector<std::int64_t> node_count;

    bool operator==(const Result &other) const {
        return tensor == other.tensor && fourth == other.fourth && origins == other.origins &&
               node_sum == other.node_sum && node_count == other.node_count;
    }
};

Result results_of(const MultiTau &tau) {
    const std::size_t n = tau.series();
    const std::size_t m = tau.lags().size();
    Result result{std::vector<double>(n * m * 6), std::vector<double>(n * m), std::vector<std::int64_t>(m),
                  std::vector<double>(n * kNodes * m), std::vector<std::int64_t>(kNodes * m)};
    tau.results({result.tensor.data(), {n, m, 6}}, {result.fourth.data(), {n, m}},
                {result.origins.data(), {m}}, {result.node_sum.data(), {n, kNodes, m}},
                {result.node_count.data(), {kNodes, m}});
    return result;
}

// Feed frame-major positions, `chunk` frames at a time.
Result run(const std::vector<double> &r, std::size_t series, std::size_t chunk, int threads) {
    const std::size_t frames = r.size() / (3 * series);
    MultiTau tau(series, frames);
    for (std::size_t t = 0; t < frames; t += chunk) {
        tau.add({r.data() + 3 * series * t, {std::min(chunk, frames - t), series, 3}}, threads);
    }
    CHECK(tau.seen() == frames);
    return results_of(tau);
}

std::vector<double> walk(std::size_t series, std::size_t frames) {
    std::mt19937 random(3);
    std::normal_distribution<double> normal;
    std::vector<double> r(3 * series * frames);
    for (std::size_t k = 0; k < r.size(); ++k) {
        r[k] = (k < 3 * series ? 50.0 : r[k - 3 * series]) + normal(random);
    }
    return r;
}

// The kernel that has all frames in memory is given the same lags and origins.
void test_against_moments(std::size_t series, std::size_t frames) {
    const auto r = walk(series, frames);
    const auto got = run(r, series, 97, 2);
    const auto lags = multitau_lags(frames);
    for (std::size_t m = 0; m < lags.size(); ++m) {
        const std::size_t kept = (frames - 1) / lags[m].step + 1;
        std::vector<double> path(series * kept * 3);
        for (std::size_t i = 0; i < series; ++i) {
            for (std::size_t t = 0; t < kept; ++t) {
                std::copy_n(r.data() + 3 * (t * lags[m].step * series + i), 3,
                            path.data() + 3 * (i * kept + t));
            }
        }
        const auto lag = static_cast<std::int64_t>(lags[m].frames / lags[m].step);
        std::vector<double> tensor(series * 6);
        std::vector<double> fourth(series);
        displacement_moments({path.data(), {series, kept, 3}}, {&lag, {1}}, {tensor.data(), {series, 1, 6}},
                             {fourth.data(), {series, 1}}, 1);
        CHECK(got.origins[m] == static_cast<std::int64_t>(kept) - lag);
        for (std::size_t i = 0; i < series; ++i) {
            const double *have = got.tensor.data() + 6 * (i * lags.size() + m);
            const double scale = tensor[6 * i] + tensor[6 * i + 1] + tensor[6 * i + 2];
            for (std::size_t k = 0; k < 6; ++k) {
                CHECK(std::abs(have[k] - tensor[6 * i + k]) < 1e-13 * scale);
            }
            CHECK(std::abs(got.fourth[i * lags.size() + m] / fourth[i] - 1) < 1e-13);
        }
    }
}

// Every pair of frames inside the blocks belongs to exactly one node, and to the right one.
void test_nodes(std::size_t frames) {
    const auto r = walk(1, frames);
    const auto got = run(r, 1, 50, 1);
    const auto lags = multitau_lags(frames);
    const std::size_t block = frames < 64 ? 0 : frames / kBlocks;
    for (std::size_t m = 0; m < lags.size(); ++m) {
        std::vector<double> sum(kNodes);
        std::vector<std::int64_t> count(kNodes);
        for (std::size_t t = 0; t + lags[m].frames < kBlocks * block; t += lags[m].step) {
            const std::size_t last = t + lags[m].frames;
            // Widths of 1, 2, 4, 8 and 16 blocks: the first at which both frames share a node.
            std::size_t width = 1;
            while (t / (block * width) != last / (block * width)) {
                width *= 2;
            }
            const std::size_t node = kBlocks / width - 1 + t / (block * width);
            ++count[node];
            for (std::size_t k = 0; k < 3; ++k) {
                sum[node] += (r[3 * last + k] - r[3 * t + k]) * (r[3 * last + k] - r[3 * t + k]);
            }
        }
        for (std::size_t node = 0; node < kNodes; ++node) {
            CHECK(got.node_count[node * lags.size() + m] == count[node]);
            CHECK(std::abs(got.node_sum[node * lags.size() + m] - sum[node]) <= 1e-12 * sum[node]);
        }
    }
}

} // namespace

int main() {
    const auto lags = multitau_lags(200);
    std::vector<std::size_t> frames;
    for (const TauLag &lag : lags) {
        frames.push_back(lag.frames);
        CHECK(lag.frames % lag.step == 0);
    }
    const std::vector<std::size_t> expected = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                               13, 14, 15, 16, 18, 20, 22, 24, 26, 28, 30, 32,
                                               36, 40, 44, 48, 52, 56, 60, 64, 72, 80, 88, 96};
    CHECK(frames == expected);
    CHECK(multitau_lags(2).size() == 1 && multitau_lags(1).empty());

    for (const std::size_t count : {2, 3, 16, 33, 257, 2500}) {
        test_against_moments(count == 2500 ? 3 : 11, count);
    }
    for (const std::size_t count : {63, 64, 75, 1000, 1039, 40000}) {
        test_nodes(count);
    }

    // The same bits for any number of threads and any cut into chunks.
    const auto r = walk(19, 1500);
    const auto whole = run(r, 19, 1500, 1);
    for (const std::size_t chunk : {1, 7, 128, 129, 1000}) {
        CHECK(run(r, 19, chunk, chunk == 7 ? 4 : 1) == whole);
    }
    CHECK(run(r, 19, 1500, 4) == whole);

    // Results so far: what has not come is not counted.
    MultiTau part(19, 1500);
    CHECK(std::isnan(results_of(part).fourth[0]) && results_of(part).origins[0] == 0);
    part.add({r.data(), {100, 19, 3}}, 1);
    CHECK(results_of(part).origins[0] == 99 && results_of(part).origins.back() == 0);

    // A refused chunk leaves no trace.
    auto bad = r;
    bad[3 * 19 * 120 + 3 * 4 + 1] = std::numeric_limits<double>::quiet_NaN();
    const auto refuse = [&] { part.add({bad.data() + 3 * 19 * 100, {100, 19, 3}}, 2); };
    CHECK(contains(message_of<std::invalid_argument>(refuse), "frame 120 of the run, series 4"));
    part.add({r.data() + 3 * 19 * 100, {1400, 19, 3}}, 2);
    CHECK(results_of(part) == whole);
    CHECK(contains(message_of<std::invalid_argument>([&] { part.add({r.data(), {1, 19, 3}}, 1); }),
                   "announced"));
    CHECK(contains(message_of<std::invalid_argument>([&] { part.add({r.data(), {0, 18, 3}}, 1); }),
                   "wanted 19"));
    CHECK(contains(message_of<std::invalid_argument>([] { MultiTau(1, 1); }), "n_frames is 1"));
    MultiTau nothing(0, 10);
    nothing.add({nullptr, {10, 0, 3}}, 1);
    CHECK(results_of(nothing).origins[0] == 9);
    return 0;
}
