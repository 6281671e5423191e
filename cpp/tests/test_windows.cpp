#include "check.hpp"

#include "ionstride/windows.hpp"

#include <stdexcept>
#include <vector>

using namespace ionstride;

namespace {

std::vector<float> run(const std::vector<double> &r, std::size_t ions, const std::vector<std::int64_t> &ion,
                       const std::vector<std::int64_t> &start, std::size_t length, std::int64_t stride) {
    std::vector<float> out(ion.size() * length * 3);
    gather_windows({r.data(), {ions, r.size() / (3 * ions), 3}}, {ion.data(), {ion.size()}},
                   {start.data(), {start.size()}}, stride, {out.data(), {ion.size(), length, 3}}, 2);
    return out;
}

} // namespace

int main() {
    // Two ions at t² and -t², far from the origin: increments are differences of float64.
    std::vector<double> r;
    for (const double sign : {1.0, -1.0}) {
        for (int t = 0; t < 10; ++t) {
            r.insert(r.end(), {1e8 + sign * t * t, 0.0, 0.5 * t});
        }
    }
    const auto windows = run(r, 2, {0, 1}, {1, 3}, 3, 2);
    const std::vector<float> expected = {8, 0, 1, 16, 0, 1, 24, 0, 1, -16, 0, 1, -24, 0, 1, -32, 0, 1};
    CHECK(windows == expected);

    const auto bad = [&](const std::vector<std::int64_t> &ion, const std::vector<std::int64_t> &start,
                         std::size_t length, std::int64_t stride) {
        return message_of<std::invalid_argument>([&] { run(r, 2, ion, start, length, stride); });
    };
    CHECK(contains(bad({2}, {0}, 1, 1), "ion[0] is 2, wanted 0 to 1"));
    CHECK(contains(bad({-1}, {0}, 1, 1), "ion[0] is -1"));
    CHECK(contains(bad({0}, {4}, 3, 2), "start[0] is 4, wanted 0 to 3"));
    CHECK(contains(bad({0}, {-1}, 3, 2), "start[0] is -1"));
    CHECK(contains(bad({0}, {INT64_MAX}, 3, 2), "start[0]"));
    CHECK(contains(bad({0}, {0}, 5, 2), "needs more frames"));
    CHECK(contains(bad({0}, {0}, 2, INT64_MAX), "needs more frames"));
    CHECK(contains(bad({0}, {0}, 0, 1), "length is 0"));
    CHECK(contains(bad({0}, {0}, 1, 0), "stride 0"));
    CHECK(contains(bad({0, 1}, {0}, 1, 1), "start holds 1"));
    return 0;
}
