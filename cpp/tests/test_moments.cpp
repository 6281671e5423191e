#include "check.hpp"

#include "ionstride/moments.hpp"

#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

using namespace ionstride;

namespace {

struct Result {
    std::vector<double> tensor;
    std::vector<double> fourth;
};

Result run(const std::vector<double> &r, std::size_t ions, const std::vector<std::int64_t> &lags,
           int threads) {
    const std::size_t frames = r.size() / (3 * ions);
    Result result{std::vector<double>(ions * lags.size() * 6), std::vector<double>(ions * lags.size())};
    displacement_moments({r.data(), {ions, frames, 3}}, {lags.data(), {lags.size()}},
                         {result.tensor.data(), {ions, lags.size(), 6}},
                         {result.fourth.data(), {ions, lags.size()}}, threads);
    return result;
}

} // namespace

int main() {
    // Steady motion v = (1, 2, 3) per frame: every moment is known.
    const int frames = 2100;
    std::vector<double> steady;
    for (int t = 0; t < frames; ++t) {
        steady.insert(steady.end(), {1.0 * t, 2.0 * t, 3.0 * t});
    }
    const std::vector<std::int64_t> lags = {1, 2, 7, 1030, 2099};
    const auto result = run(steady, 1, lags, 1);
    const double expected[] = {1, 4, 9, 2, 3, 6};
    for (std::size_t m = 0; m < lags.size(); ++m) {
        const double square = static_cast<double>(lags[m] * lags[m]);
        for (std::size_t k = 0; k < 6; ++k) {
            CHECK(std::abs(result.tensor[6 * m + k] / (expected[k] * square) - 1) < 1e-13);
        }
        CHECK(std::abs(result.fourth[m] / (196 * square * square) - 1) < 1e-13);
    }

    // The same bits for any number of threads.
    std::mt19937 random(3);
    std::normal_distribution<double> normal;
    std::vector<double> noise(3 * 5 * 333);
    for (double &value : noise) {
        value = normal(random);
    }
    std::vector<std::int64_t> many;
    for (std::int64_t lag = 1; lag < 100; ++lag) {
        many.push_back(lag);
    }
    const auto one = run(noise, 5, many, 1);
    const auto four = run(noise, 5, many, 4);
    CHECK(one.tensor == four.tensor && one.fourth == four.fourth);

    for (const std::int64_t bad :
         {std::int64_t{0}, std::int64_t{-1}, std::int64_t{333}, INT64_MIN, INT64_MAX}) {
        CHECK(contains(message_of<std::invalid_argument>([&] { run(noise, 5, {1, bad}, 1); }), "lags[1] is"));
    }
    return 0;
}
