#include "check.hpp"

#include "ionstride/unwrap.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

using namespace ionstride;

namespace {

struct Result {
    std::vector<double> r;
    double largest;
};

Result run(const std::vector<double> &r, std::size_t atoms, const std::vector<double> &cell,
           int threads = 1) {
    const std::size_t frames = r.size() / (3 * atoms);
    std::vector<double> out(r.size());
    const double largest = unwrap({r.data(), {frames, atoms, 3}}, {cell.data(), {cell.size() / 9, 3, 3}},
                                  {out.data(), {frames, atoms, 3}}, threads);
    return {out, largest};
}

} // namespace

int main() {
    // One atom walks across the boundary of a cubic cell twice.
    const std::vector<double> cube = {10, 0, 0, 0, 10, 0, 0, 0, 10};
    const auto walk = run({8, 1, 1, 1, 1, 1, 4, 1, 1, 7, 1, 1, 0.5, 1, 1}, 1, cube);
    const std::vector<double> path = {8, 11, 14, 17, 20.5};
    for (std::size_t t = 0; t < path.size(); ++t) {
        CHECK(std::abs(walk.r[3 * t] - path[t]) < 1e-12);
    }
    CHECK(std::abs(walk.largest - 0.35) < 1e-12);

    // Triclinic cell: a random walk wrapped in fractional coordinates is recovered, alike in all threads.
    const std::vector<double> h = {9, 0, 0, 3, 8, 0, -2, 1, 7};
    const std::size_t atoms = 300;
    const std::size_t frames = 50;
    std::mt19937 random(2);
    std::normal_distribution<double> normal(0.0, 0.05);
    std::vector<double> s(3 * atoms, 0.5);
    std::vector<double> wrapped;
    std::vector<double> truth;
    for (std::size_t t = 0; t < frames; ++t) {
        for (std::size_t a = 0; a < atoms; ++a) {
            double w[3];
            for (std::size_t k = 0; k < 3; ++k) {
                s[3 * a + k] += t == 0 ? 0.0 : normal(random);
                w[k] = s[3 * a + k] - std::floor(s[3 * a + k]);
            }
            for (std::size_t k = 0; k < 3; ++k) {
                wrapped.push_back(w[0] * h[k] + w[1] * h[3 + k] + w[2] * h[6 + k]);
                truth.push_back(s[3 * a] * h[k] + s[3 * a + 1] * h[3 + k] + s[3 * a + 2] * h[6 + k]);
            }
        }
    }
    const auto one = run(wrapped, atoms, h, 1);
    const auto many = run(wrapped, atoms, h, 5);
    for (std::size_t k = 0; k < truth.size(); ++k) {
        CHECK(std::abs(one.r[k] - truth[k]) < 1e-10);
        CHECK(one.r[k] == many.r[k]);
    }
    CHECK(one.largest == many.largest);

    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(contains(message_of<std::invalid_argument>([&] { run({1, 1, 1, 2, nan, 2}, 1, cube); }),
                   "frame 1, atom 0"));
    CHECK(contains(message_of<std::invalid_argument>([&] { run({1, 1, 1}, 1, {1, 0, 0, 2, 0, 0, 0, 0, 1}); }),
                   "cell_A of frame 0"));
    CHECK(
        contains(message_of<std::invalid_argument>([&] { run({1, 1, 1}, 1, std::vector<double>(18, 1.0)); }),
                 "wanted 1 or 1"));
    return 0;
}
