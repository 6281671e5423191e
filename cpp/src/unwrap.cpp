#include "ionstride/unwrap.hpp"

#include "ionstride/parallel.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

namespace ionstride {
namespace {

using Matrix = std::array<double, 9>;

// Atoms a task carries through all frames: enough for long reads, few enough for the cache.
constexpr std::size_t kAtomsPerTask = 128;

// Round to the nearest integer.  Adding and subtracting 1.5·2⁵² does it in two additions on any processor,
// where std::rint is a function call without SSE4.1.  Right for |x| < 2⁵¹.
inline double round_nearest(double x) {
    constexpr double magic = 6755399441055744.0;
    return (x + magic) - magic;
}

Matrix inverse(const double *c, std::size_t frame) {
    const double x = c[4] * c[8] - c[5] * c[7];
    const double y = c[5] * c[6] - c[3] * c[8];
    const double z = c[3] * c[7] - c[4] * c[6];
    const double volume = c[0] * x + c[1] * y + c[2] * z;
    double scale = 1.0;
    for (int row = 0; row < 3; ++row) {
        scale *= std::sqrt(c[3 * row] * c[3 * row] + c[3 * row + 1] * c[3 * row + 1] +
                           c[3 * row + 2] * c[3 * row + 2]);
    }
    if (!(std::abs(volume) > 1e-12 * scale) || !std::isfinite(volume)) {
        throw std::invalid_argument("cell_A of frame " + std::to_string(frame) + " has determinant " +
                                    std::to_string(volume) +
                                    " Å³, wanted three finite cell vectors that span a volume");
    }
    const double f = 1.0 / volume;
    return {x * f, (c[2] * c[7] - c[1] * c[8]) * f, (c[1] * c[5] - c[2] * c[4]) * f,
            y * f, (c[0] * c[8] - c[2] * c[6]) * f, (c[2] * c[3] - c[0] * c[5]) * f,
            z * f, (c[1] * c[6] - c[0] * c[7]) * f, (c[0] * c[4] - c[1] * c[3]) * f};
}

Matrix mean(View<const double, 3> cells) {
    Matrix sum{};
    for (std::size_t t = 0; t < cells.shape[0]; ++t) {
        for (std::size_t k = 0; k < 9; ++k) {
            sum[k] += cells.row(t)[k];
        }
    }
    for (double &value : sum) {
        value /= static_cast<double>(cells.shape[0]);
    }
    return sum;
}

[[noreturn]] void throw_not_finite(const double *row, std::size_t frame, std::size_t first_atom) {
    std::size_t k = 0;
    while (std::isfinite(row[k])) {
        ++k;
    }
    throw std::invalid_argument("positions_A holds a value that is not finite at frame " +
                                std::to_string(frame) + ", atom " + std::to_string(first_atom + k / 3) +
                                "; remove or repair that frame");
}

} // namespace

double unwrap(View<const double, 3> positions_A, View<const double, 3> cell_A, View<double, 3> unwrapped_A,
              int threads) {
    const std::size_t frames = positions_A.shape[0];
    const std::size_t atoms = positions_A.shape[1];
    if (cell_A.shape[0] != 1 && cell_A.shape[0] != frames) {
        throw std::invalid_argument("cell_A holds " + std::to_string(cell_A.shape[0]) +
                                    " cells, wanted 1 or " + std::to_string(frames) +
                                    ", the number of frames of positions_A");
    }
    if (frames == 0 || atoms == 0) {
        return 0.0;
    }
    std::vector<Matrix> inverses(cell_A.shape[0]);
    for (std::size_t t = 0; t < inverses.size(); ++t) {
        inverses[t] = inverse(cell_A.row(t), t);
    }
    const Matrix m = mean(cell_A);
    inverse(m.data(), 0); // a mean of good cells is singular only if their handedness differs

    const std::size_t tasks = (atoms + kAtomsPerTask - 1) / kAtomsPerTask;
    std::vector<double> largest(tasks, 0.0);
    run_tasks(tasks, threads, [&](std::size_t task) {
        const std::size_t first = task * kAtomsPerTask;
        const std::size_t values = 3 * std::min(kAtomsPerTask, atoms - first);
        std::array<double, 3 * kAtomsPerTask> s{};
        std::array<double, 3 * kAtomsPerTask> before{};
        std::array<double, 3 * kAtomsPerTask> image{};
        double step = 0.0;
        for (std::size_t t = 0; t < frames; ++t) {
            const Matrix &inv = inverses[inverses.size() == 1 ? 0 : t];
            const double *r = positions_A.row(t) + 3 * first;
            double *out = unwrapped_A.row(t) + 3 * first;
            double check = 0.0;
            for (std::size_t k = 0; k < values; k += 3) {
                s[k] = r[k] * inv[0] + r[k + 1] * inv[3] + r[k + 2] * inv[6];
                s[k + 1] = r[k] * inv[1] + r[k + 1] * inv[4] + r[k + 2] * inv[7];
                s[k + 2] = r[k] * inv[2] + r[k + 1] * inv[5] + r[k + 2] * inv[8];
            }
            for (std::size_t k = 0; k < values; ++k) {
                check += 0.0 * r[k]; // NaN if any value is NaN or infinite
            }
            if (check != 0.0) {
                throw_not_finite(r, t, first);
            }
            if (t > 0) {
                // The number of crossed boundaries is a whole number: counting it keeps the sum exact.
                for (std::size_t k = 0; k < values; ++k) {
                    const double change = s[k] - before[k];
                    const double crossed = round_nearest(change);
                    image[k] -= crossed;
                    const double size = std::abs(change - crossed);
                    step = size > step ? size : step;
                }
            }
            before = s;
            for (std::size_t k = 0; k < values; k += 3) {
                const double a = s[k] + image[k];
                const double b = s[k + 1] + image[k + 1];
                const double c = s[k + 2] + image[k + 2];
                out[k] = a * m[0] + b * m[3] + c * m[6];
                out[k + 1] = a * m[1] + b * m[4] + c * m[7];
                out[k + 2] = a * m[2] + b * m[5] + c * m[8];
            }
        }
        largest[task] = step;
    });
    return *std::max_element(largest.begin(), largest.end());
}

} // namespace ionstride
