#include "check.hpp"

#include "ionstride/covariance.hpp"

#include <cmath>
#include <stdexcept>
#include <vector>

using namespace ionstride;

namespace {

std::vector<double> run(const std::vector<double> &g, const std::vector<std::int64_t> &lags,
                        std::int64_t frames) {
    std::vector<double> out(lags.size() * lags.size());
    msd_covariance({g.data(), {g.size()}}, {lags.data(), {lags.size()}}, frames,
                   {out.data(), {lags.size(), lags.size()}});
    return out;
}

} // namespace

int main() {
    // A free walk of unit steps, g = t: windows share as many steps as they overlap.
    std::vector<double> g;
    for (int t = 0; t < 8; ++t) {
        g.push_back(t);
    }
    const auto one = run(g, {1}, 11); // ten steps, each its own window
    CHECK(std::abs(one[0] - 0.1) < 1e-15);
    const auto two = run(g, {1, 2}, 4); // origins 0, 1, 2 and 0, 1
    CHECK(std::abs(two[3] - (2 * 4.0 + 2 * 1.0) / 4) < 1e-15);
    CHECK(std::abs(two[1] - 4.0 / 6) < 1e-15);
    CHECK(two[1] == two[2]);

    const auto bad = [&](const std::vector<std::int64_t> &lags, std::int64_t frames) {
        return message_of<std::invalid_argument>([&] { run(g, lags, frames); });
    };
    CHECK(contains(bad({0}, 20), "lags[0] is 0, wanted 1 to 4"));
    CHECK(contains(bad({1, 5}, 20), "lags[1] is 5, wanted 1 to 4"));
    CHECK(contains(bad({3}, 3), "lags[0] is 3, wanted 1 to 2"));
    return 0;
}
