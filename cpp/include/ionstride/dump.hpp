// Reader of LAMMPS text dumps (dump styles atom and custom): atoms sorted by id, in threads over frames.
#pragma once

#include "dump_index.hpp"
#include "views.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ionstride {

enum class Coordinates { xu, xsu, x_image, xs_image, x, xs };

// "xu", "xsu", "x+image", "xs+image", "x" or "xs".
const char *name_of(Coordinates kind);

// Whether these coordinates are free of the periodic wrapping.
inline bool is_unwrapped(Coordinates kind) {
    return kind != Coordinates::x && kind != Coordinates::xs;
}

// What a column of the dump is used for; r and image take three values each.
enum class Role : unsigned char { skip, id, type, element, r0, r1, r2, image0, image1, image2 };

struct DumpLayout {
    Coordinates kind = Coordinates::x;
    std::vector<Role> roles; // one a column
};

// Choose the best coordinates there are.  Throws FormatError if there are none, or no id.
DumpLayout layout_of(const DumpIndex &index);

struct DumpAtoms {
    std::vector<std::int64_t> id;     // increasing
    std::vector<std::int64_t> type;   // empty if there is no such column
    std::vector<std::string> element; // empty if there is no such column
};

// Read what does not change along the run from one frame.
DumpAtoms read_atoms(const MappedFile &file, const DumpIndex &index, const DumpLayout &layout,
                     const DumpFrame &frame);

// Throws FormatError for the first of the frames that has another number of atoms; to be called before memory
// is taken for all of them.
void check_counts(const DumpIndex &index, const std::vector<DumpFrame> &frames, std::size_t atoms);

// Read the positions of the given frames into positions_A (T, N, 3), Å, in the order of `id`.
// Image flags count cells of their own frame.  Throws FormatError for a bad line or other ids.
void read_positions(const MappedFile &file, const DumpIndex &index, const DumpLayout &layout,
                    const std::vector<DumpFrame> &frames, const std::vector<std::int64_t> &id,
                    View<double, 3> positions_A, int threads);

} // namespace ionstride
