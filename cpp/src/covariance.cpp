#include "ionstride/covariance.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace ionstride {

void msd_covariance(View<const double, 1> g_A2, View<const std::int64_t, 1> lags, std::int64_t frames,
                    View<double, 2> covariance) {
    const std::size_t n = lags.shape[0];
    const auto known = static_cast<std::int64_t>(g_A2.shape[0]);
    for (std::size_t a = 0; a < n; ++a) {
        if (lags.data[a] < 1 || lags.data[a] >= frames || 2 * lags.data[a] > known) {
            throw std::invalid_argument("lags[" + std::to_string(a) + "] is " + std::to_string(lags.data[a]) +
                                        ", wanted 1 to " + std::to_string(std::min(frames - 1, known / 2)) +
                                        " for " + std::to_string(frames) + " frames and " +
                                        std::to_string(known) + " values of g_A2");
        }
    }
    const auto g = [&](std::int64_t t) { return g_A2.data[std::abs(t)]; };
    for (std::size_t a = 0; a < n; ++a) {
        for (std::size_t b = 0; b <= a; ++b) {
            const std::int64_t k = lags.data[a];
            const std::int64_t l = lags.data[b];
            double sum = 0.0;
            // Windows that do not touch add nothing to a free walk, and little to a bound one.
            for (std::int64_t d = 1 - l; d < k; ++d) {
                const std::int64_t pairs =
                    std::min(frames - k, frames - l - d) - std::max<std::int64_t>(0, -d);
                if (pairs > 0) {
                    const double c = 0.5 * (g(d + l) + g(d - k) - g(d) - g(d + l - k));
                    sum += static_cast<double>(pairs) * c * c;
                }
            }
            const double mean = sum / static_cast<double>(frames - k) / static_cast<double>(frames - l);
            covariance.row(a)[b] = mean;
            covariance.row(b)[a] = mean;
        }
    }
}

} // namespace ionstride
