#include "arrays.hpp"
#include "bind.hpp"

#include "ionstride/multitau.hpp"

namespace ionstride::bindings {
namespace {

constexpr const char *kClassDoc = R"(Moments of displacements of frames that are fed in order and not kept.

Lags are 1 … 15 frames with every frame as origin, then (8 … 15)·2^l with the multiples of 2^l as origins, up to half
the run.  Memory is some 50 kB a series, whatever the number of frames.  The result depends neither on the number of
threads nor on how the frames were cut into chunks.

Parameters
----------
n_series : number of paths (ions).
n_frames : number of frames that will come.

Raises
------
ionstride.errors.InputError
    If a number is negative or there are fewer than two frames.
)";

constexpr const char *kAddDoc = R"(Take the next frames.

Parameters
----------
positions_A : (t, n, 3) float64 unwrapped positions in Å, frame after frame.
threads : number of threads, 0 for all cores.

Raises
------
ionstride.errors.InputError
    If a shape or dtype is not as wanted, more frames come than announced, or a value is not finite; the frames are
    then not taken.
)";

constexpr const char *kResultsDoc = R"(Return what has come so far.

Returns
-------
dict with
    tensor_A2 : (n, M, 6) float64 <ΔΔᵀ> in Å², in the order xx, yy, zz, xy, xz, yz; NaN where no pair has come.
    fourth_A4 : (n, M) float64 <|Δ|⁴> in Å⁴.
    origins : (M) int64 number of pairs of frames of each lag.
    node_sum_A2 : (n, 31, M) float64 Σ |Δ|² over the pairs of each node of the tree over 16 blocks of frames (root 0,
        children of k: 2k+1 and 2k+2): a pair counts for the smallest node that holds both its frames.
    node_count : (31, M) int64 number of these pairs; zero in runs of fewer than 64 frames.
)";

constexpr const char *kLagsDoc =
    R"(Return the lags of a run of n_frames frames, and the distances of their origins.

Parameters
----------
n_frames : frames of the run.

Returns
-------
lag : (M) int64 lags in frames, increasing.
origin_step : (M) int64 frames between origins, a power of two.
)";

std::size_t checked(const char *name, std::int64_t value) {
    if (value < 0) {
        throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) +
                                    ", wanted 0 or more");
    }
    return static_cast<std::size_t>(value);
}

py::tuple lags_of(std::int64_t n_frames) {
    const auto lags = multitau_lags(checked("n_frames", n_frames));
    auto frames = make<std::int64_t, 1>({lags.size()});
    auto step = make<std::int64_t, 1>({lags.size()});
    for (std::size_t m = 0; m < lags.size(); ++m) {
        frames.second.data[m] = static_cast<std::int64_t>(lags[m].frames);
        step.second.data[m] = static_cast<std::int64_t>(lags[m].step);
    }
    return py::make_tuple(frames.first, step.first);
}

void add(MultiTau &accumulator, const py::object &positions_A, int threads) {
    const auto r = view<double, 3>("positions_A", positions_A, {std::nullopt, accumulator.series(), 3});
    without_gil([&] { accumulator.add(r, threads); });
}

py::dict results(const MultiTau &accumulator) {
    const std::size_t n = accumulator.series();
    const std::size_t n_lags = accumulator.lags().size();
    auto tensor = make<double, 3>({n, n_lags, 6});
    auto fourth = make<double, 2>({n, n_lags});
    auto origins = make<std::int64_t, 1>({n_lags});
    auto node_sum = make<double, 3>({n, kNodes, n_lags});
    auto node_count = make<std::int64_t, 2>({kNodes, n_lags});
    without_gil([&] {
        accumulator.results(tensor.second, fourth.second, origins.second, node_sum.second, node_count.second);
    });
    py::dict result;
    result["tensor_A2"] = tensor.first;
    result["fourth_A4"] = fourth.first;
    result["origins"] = origins.first;
    result["node_sum_A2"] = node_sum.first;
    result["node_count"] = node_count.first;
    return result;
}

} // namespace

void bind_multitau(py::module_ &module) {
    module.def("multitau_lags", &lags_of, kLagsDoc, py::arg("n_frames"));
    py::class_<MultiTau>(module, "MultiTau", kClassDoc)
        .def(py::init([](std::int64_t n_series, std::int64_t n_frames) {
                 return MultiTau(checked("n_series", n_series), checked("n_frames", n_frames));
             }),
             py::arg("n_series"), py::arg("n_frames"))
        .def("add", &add, kAddDoc, py::arg("positions_A"), py::arg("threads") = 0)
        .def("results", &results, kResultsDoc)
        .def_property_readonly("seen", &MultiTau::seen, "Number of frames taken so far.");
}

} // namespace ionstride::bindings
