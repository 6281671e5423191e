// Where the frames of a LAMMPS text dump are, and what their headers say.
#pragma once

#include "mapped_file.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace ionstride {

struct DumpFrame {
    std::int64_t step = 0;
    double time = 0.0; // in the dump's unit of time
    bool has_time = false;
    std::size_t offset = 0;       // of the header, in bytes
    std::size_t atoms_offset = 0; // of the first atom line, in bytes
    std::int64_t atoms_line = 0;  // number of the first atom line, from 1
    std::int64_t n_atoms = 0;
    std::array<double, 9> cell_A{}; // cell vectors as rows
    std::array<double, 3> origin_A{};
};

struct DumpIndex {
    std::string path;
    std::size_t size = 0;          // of the file when it was indexed, in bytes
    std::vector<DumpFrame> frames; // by increasing step
    std::vector<std::string> columns;
    std::int64_t columns_line = 0; // line of the first "ITEM: ATOMS"
    std::int64_t repeats = 0;      // frames replaced by a later one of the same step
    bool complete = true;          // false if the last frame is cut
    bool has_time = false;         // every frame has "ITEM: TIME"
};

// Find the frames.  A cut last frame (killed run, or a run that is still writing) is left out, and of frames
// with the same step (restarted run) the last in the file is kept.
// Throws FormatError for anything else that is not a dump, or if no whole frame is there.
DumpIndex index_dump(const MappedFile &file);

} // namespace ionstride
