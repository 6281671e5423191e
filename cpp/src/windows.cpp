#include "ionstride/windows.hpp"

#include "ionstride/parallel.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace ionstride {
namespace {

constexpr std::size_t kWindowsPerTask = 64;

std::string at(const char *name, std::size_t b, std::int64_t value) {
    return std::string(name) + "[" + std::to_string(b) + "] is " + std::to_string(value);
}

} // namespace

void check_windows(View<const double, 3> r_A, View<const std::int64_t, 1> ion,
                   View<const std::int64_t, 1> start, std::int64_t length, std::int64_t stride) {
    const auto ions = static_cast<std::int64_t>(r_A.shape[0]);
    const auto frames = static_cast<std::int64_t>(r_A.shape[1]);
    const std::size_t count = ion.shape[0];
    if (start.shape[0] != count) {
        throw std::invalid_argument("start holds " + std::to_string(start.shape[0]) + " numbers, wanted " +
                                    std::to_string(count) + ", as many as ion");
    }
    if (length < 1 || stride < 1) {
        throw std::invalid_argument("length is " + std::to_string(length) + " and stride " +
                                    std::to_string(stride) + ", wanted 1 or more of both");
    }
    // Divided, not multiplied: length × stride may not fit in 64 bits.
    if (length > (frames - 1) / stride) {
        throw std::invalid_argument("a window of length " + std::to_string(length) + " and stride " +
                                    std::to_string(stride) + " needs more frames than the " +
                                    std::to_string(frames) + " of r_A; wanted length × stride below that");
    }
    const std::int64_t last_start = frames - 1 - length * stride;
    for (std::size_t b = 0; b < count; ++b) {
        if (ion.data[b] < 0 || ion.data[b] >= ions) {
            throw std::invalid_argument(at("ion", b, ion.data[b]) + ", wanted 0 to " +
                                        std::to_string(ions - 1));
        }
        if (start.data[b] < 0 || start.data[b] > last_start) {
            throw std::invalid_argument(at("start", b, start.data[b]) + ", wanted 0 to " +
                                        std::to_string(last_start) + " for windows of " +
                                        std::to_string(length) + " increments of " + std::to_string(stride) +
                                        " frames in paths of " + std::to_string(frames));
        }
    }
}

void gather_windows(View<const double, 3> r_A, View<const std::int64_t, 1> ion,
                    View<const std::int64_t, 1> start, std::int64_t stride, View<float, 3> windows_A,
                    int threads) {
    const auto length = static_cast<std::int64_t>(windows_A.shape[1]);
    const std::size_t count = ion.shape[0];
    check_windows(r_A, ion, start, length, stride);
    run_tasks((count + kWindowsPerTask - 1) / kWindowsPerTask, threads, [&](std::size_t task) {
        const std::size_t end = std::min(count, (task + 1) * kWindowsPerTask);
        for (std::size_t b = task * kWindowsPerTask; b < end; ++b) {
            const double *from = r_A.row(static_cast<std::size_t>(ion.data[b])) + 3 * start.data[b];
            float *to = windows_A.row(b);
            for (std::int64_t k = 0; k < length; ++k, to += 3) {
                const double *next = from + 3 * stride;
                to[0] = static_cast<float>(next[0] - from[0]);
                to[1] = static_cast<float>(next[1] - from[1]);
                to[2] = static_cast<float>(next[2] - from[2]);
                from = next;
            }
        }
    });
}

} // namespace ionstride
