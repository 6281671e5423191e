#include "arrays.hpp"
#include "bind.hpp"

#include "ionstride/dump.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace ionstride::bindings {
namespace {

constexpr const char *kScanDoc = R"(Find the frames of a LAMMPS text dump, without reading the atoms.

Frames come by increasing step; of frames with the same step (restarted run) the last in the file counts; a cut
last frame is left out.

Parameters
----------
path : path of the dump.

Returns
-------
dict with
    step : (T) int64 time steps, increasing.
    offset : (T) int64 offsets of the frames in bytes.
    n_atoms : (T) int64 numbers of atoms.
    time : (T) float64 times in the dump's unit (ps in metal units), or None.
    cell_A : (T, 3, 3) float64 cell vectors in Å, as rows.
    columns : names of the columns.
    complete : False if the last frame is cut.
    repeats : number of frames replaced by a later one of the same step.
    size : size of the file in bytes.
    index : what `read_dump` takes to spare itself this scan.

Raises
------
ionstride.errors.InputError
    If the file cannot be read.
ionstride.errors.FormatError
    If it is not a LAMMPS text dump, or holds no whole frame.
)";

constexpr const char *kReadDoc = R"(Read a LAMMPS text dump (style atom or custom), atoms sorted by id.

Coordinates are taken from the best columns there are: xu > xsu > x + image flags > xs + image flags > x > xs.
Image flags count cells of their own frame.

Parameters
----------
path : path of the dump.
start, stop, stride : frames to read, numbered as in `scan_dump`; stop None is the end.
threads : number of threads, 0 for all cores; the result does not depend on it.
index : `scan_dump(path)['index']`, for those who read a file in pieces.

Returns
-------
dict with
    step : (T) int64 time steps, increasing.
    time : (T) float64 times in the dump's unit (ps in metal units), or None.
    cell_A : (T, 3, 3) float64 cell vectors in Å, as rows.
    origin_A : (T, 3) float64 corner of the cell in Å.
    id : (N) int64, increasing.
    element : (N) list of names, or None.
    type : (N) int64, or None.
    positions_A : (T, N, 3) float64 in Å.
    kind : 'xu', 'xsu', 'x+image', 'xs+image', 'x' or 'xs'.
    unwrapped : whether these are free of the periodic wrapping.
    cut : 1 if a cut last frame was left out, else 0.
    repeats : number of frames in the file replaced by a later one of the same step.

Raises
------
ionstride.errors.InputError
    If the file cannot be read, or no frame is selected.
ionstride.errors.FormatError
    If it is not such a dump, a value is missing or not finite, or the atoms are not the same in every frame.
)";

using Index = std::shared_ptr<const DumpIndex>;

// An index travels through Python as a capsule: nothing there may look inside or change it.
constexpr const char *kIndexName = "ionstride.DumpIndex";

py::capsule wrap(Index index) {
    return py::capsule(new Index(std::move(index)), kIndexName, [](PyObject *capsule) {
        delete static_cast<Index *>(PyCapsule_GetPointer(capsule, kIndexName));
    });
}

Index unwrap(const py::object &object) {
    if (object.is_none()) {
        return nullptr;
    }
    if (PyCapsule_IsValid(object.ptr(), kIndexName) == 0) {
        throw std::invalid_argument("index is of type " +
                                    std::string(py::str(py::type::of(object).attr("__name__"))) +
                                    ", wanted scan_dump(path)['index'] or None");
    }
    return *static_cast<Index *>(PyCapsule_GetPointer(object.ptr(), kIndexName));
}

std::string path_of(const py::object &path) {
    return py::module_::import("os").attr("fsdecode")(path).cast<std::string>();
}

template <class Value>
py::array_t<std::int64_t> column_of(const std::vector<DumpFrame> &frames, Value value) {
    auto [array, out] = make<std::int64_t, 1>({frames.size()});
    std::transform(frames.begin(), frames.end(), out.data,
                   [&](const DumpFrame &frame) { return static_cast<std::int64_t>(value(frame)); });
    return array;
}

py::array_t<std::int64_t> array_of(const std::vector<std::int64_t> &values) {
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::dict scan(const py::object &path) {
    const std::string name = path_of(path);
    const auto index = without_gil([&] { return std::make_shared<DumpIndex>(index_dump(MappedFile(name))); });
    py::dict result;
    result["step"] = column_of(index->frames, [](const DumpFrame &frame) { return frame.step; });
    result["offset"] = column_of(index->frames, [](const DumpFrame &frame) { return frame.offset; });
    result["n_atoms"] = column_of(index->frames, [](const DumpFrame &frame) { return frame.n_atoms; });
    auto time = make<double, 1>({index->frames.size()});
    auto cell = make<double, 3>({index->frames.size(), 3, 3});
    for (std::size_t t = 0; t < index->frames.size(); ++t) {
        const DumpFrame &frame = index->frames[t];
        time.second.data[t] = frame.time;
        std::copy(frame.cell_A.begin(), frame.cell_A.end(), cell.second.row(t));
    }
    result["time"] = index->has_time ? py::object(time.first) : py::none();
    result["cell_A"] = cell.first;
    result["columns"] = py::cast(index->columns);
    result["complete"] = index->complete;
    result["repeats"] = index->repeats;
    result["size"] = index->size;
    result["index"] = wrap(index);
    return result;
}

std::vector<DumpFrame> select(const DumpIndex &index, std::int64_t start, std::optional<std::int64_t> stop,
                              std::int64_t stride) {
    const auto count = static_cast<std::int64_t>(index.frames.size());
    if (start < 0 || stride < 1 || (stop && *stop < 0)) {
        throw std::invalid_argument("start is " + std::to_string(start) + ", stop " +
                                    (stop ? std::to_string(*stop) : "None") + " and stride " +
                                    std::to_string(stride) +
                                    ", wanted start and stop of 0 or more and stride of 1 or more");
    }
    const std::int64_t end = std::min(stop.value_or(count), count);
    std::vector<DumpFrame> frames;
    for (std::int64_t t = start; t < end; t += std::min(stride, count)) {
        frames.push_back(index.frames[static_cast<std::size_t>(t)]);
    }
    if (frames.empty()) {
        throw std::invalid_argument("start " + std::to_string(start) + " and stop " + std::to_string(end) +
                                    " select no frame of the " + std::to_string(count) + " of '" +
                                    index.path + "'");
    }
    return frames;
}

py::dict read(const py::object &path, std::int64_t start, std::optional<std::int64_t> stop,
              std::int64_t stride, int threads, const py::object &known_index) {
    Index index = unwrap(known_index);
    const std::string name = path_of(path);
    std::unique_ptr<MappedFile> file;
    std::vector<DumpFrame> frames;
    DumpLayout layout;
    DumpAtoms atoms;
    without_gil([&] {
        file = std::make_unique<MappedFile>(name);
        if (!index) {
            index = std::make_shared<DumpIndex>(index_dump(*file));
        } else if (index->path != name || index->size > file->size()) {
            throw std::invalid_argument("index is of '" + index->path + "' with " +
                                        std::to_string(index->size) + " bytes, wanted that of '" + name +
                                        "' with " + std::to_string(file->size()) + "; scan it anew");
        }
        frames = select(*index, start, stop, stride);
        layout = layout_of(*index);
        atoms = read_atoms(*file, *index, layout, frames.front());
        check_counts(*index, frames, atoms.id.size());
    });

    auto positions = make<double, 3>({frames.size(), atoms.id.size(), 3});
    auto cell = make<double, 3>({frames.size(), 3, 3});
    auto origin = make<double, 2>({frames.size(), 3});
    auto time = make<double, 1>({frames.size()});
    without_gil([&] {
        read_positions(*file, *index, layout, frames, atoms.id, positions.second, threads);
        for (std::size_t t = 0; t < frames.size(); ++t) {
            std::copy(frames[t].cell_A.begin(), frames[t].cell_A.end(), cell.second.row(t));
            std::copy(frames[t].origin_A.begin(), frames[t].origin_A.end(), origin.second.row(t));
            time.second.data[t] = frames[t].time;
        }
    });

    py::dict result;
    result["step"] = column_of(frames, [](const DumpFrame &frame) { return frame.step; });
    result["time"] = index->has_time ? py::object(time.first) : py::none();
    result["cell_A"] = cell.first;
    result["origin_A"] = origin.first;
    result["id"] = array_of(atoms.id);
    result["element"] = atoms.element.empty() ? py::object(py::none()) : py::cast(atoms.element);
    result["type"] = atoms.type.empty() ? py::object(py::none()) : array_of(atoms.type);
    result["positions_A"] = positions.first;
    result["kind"] = name_of(layout.kind);
    result["unwrapped"] = is_unwrapped(layout.kind);
    result["cut"] = index->complete ? 0 : 1;
    result["repeats"] = index->repeats;
    return result;
}

} // namespace

void bind_dump(py::module_ &module) {
    module.def("scan_dump", &scan, kScanDoc, py::arg("path"));
    module.def("read_dump", &read, kReadDoc, py::arg("path"), py::arg("start") = 0,
               py::arg("stop") = py::none(), py::arg("stride") = 1, py::arg("threads") = 0,
               py::arg("index") = py::none());
}

} // namespace ionstride::bindings
