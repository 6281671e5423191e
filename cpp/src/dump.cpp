#include "ionstride/dump.hpp"

#include "atom_lines.hpp"

#include "ionstride/parallel.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace ionstride {
namespace {

constexpr std::size_t kTextPerTask = std::size_t{256} << 10U; // bytes: enough that handing out costs nothing
constexpr std::size_t kCached = std::size_t{32} << 10U;       // numbers that a core's cache holds

// From an atom's id to its place in the sorted order.
class Places {
public:
    static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

    explicit Places(const std::vector<std::int64_t> &sorted) : id_(sorted) {
        // Unsigned, as the difference of two ids may not fit in 64 signed bits.
        const std::uint64_t span =
            static_cast<std::uint64_t>(id_.back()) - static_cast<std::uint64_t>(id_.front());
        if (span < 4 * static_cast<std::uint64_t>(id_.size()) + 1024) {
            table_.assign(static_cast<std::size_t>(span) + 1, none);
            for (std::size_t k = 0; k < id_.size(); ++k) {
                table_[static_cast<std::size_t>(id_[k] - id_.front())] = k;
            }
        }
    }

    // `guess` is right for nearly every line of a sorted dump.
    std::size_t find(std::int64_t id, std::size_t guess) const {
        if (guess < id_.size() && id_[guess] == id) {
            return guess;
        }
        if (id < id_.front() || id > id_.back()) {
            return none;
        }
        if (!table_.empty()) {
            return table_[static_cast<std::size_t>(id - id_.front())];
        }
        const auto place = std::lower_bound(id_.begin(), id_.end(), id);
        return *place == id ? static_cast<std::size_t>(place - id_.begin()) : none;
    }

private:
    const std::vector<std::int64_t> &id_;
    std::vector<std::size_t> table_;
};

void to_cartesian(Coordinates kind, const DumpFrame &frame, const AtomLine &atom, double *out) {
    const auto &h = frame.cell_A;
    const auto &o = frame.origin_A;
    const auto &r = atom.r;
    const auto &n = atom.image;
    switch (kind) {
    case Coordinates::xu:
    case Coordinates::x:
        out[0] = r[0];
        out[1] = r[1];
        out[2] = r[2];
        return;
    case Coordinates::x_image:
        for (std::size_t k = 0; k < 3; ++k) {
            out[k] = r[k] + (n[0] * h[k] + n[1] * h[3 + k] + n[2] * h[6 + k]);
        }
        return;
    case Coordinates::xs:
    case Coordinates::xsu:
    case Coordinates::xs_image:
        for (std::size_t k = 0; k < 3; ++k) {
            out[k] = o[k] + ((r[0] + n[0]) * h[k] + (r[1] + n[1]) * h[3 + k] + (r[2] + n[2]) * h[6 + k]);
        }
        return;
    }
}

struct NamedAtom {
    std::int64_t id = 0;
    std::int64_t type = 0;
    std::string_view element;
};

} // namespace

DumpAtoms read_atoms(const MappedFile &file, const DumpIndex &index, const DumpLayout &layout,
                     const DumpFrame &frame) {
    const auto has = [&](Role role) {
        return std::find(layout.roles.begin(), layout.roles.end(), role) != layout.roles.end();
    };
    // It grows with the lines that are there, whatever number of atoms the header claims.
    std::vector<NamedAtom> lines;
    AtomLines in(file, index, layout, frame);
    AtomLine line;
    for (std::int64_t i = 0; i < frame.n_atoms; ++i) {
        in.next(line);
        lines.push_back({line.id, line.type, line.element});
    }
    const auto by_id = [](const NamedAtom &a, const NamedAtom &b) { return a.id < b.id; };
    if (!std::is_sorted(lines.begin(), lines.end(), by_id)) {
        std::sort(lines.begin(), lines.end(), by_id);
    }
    DumpAtoms atoms;
    for (const NamedAtom &atom : lines) {
        if (!atoms.id.empty() && atoms.id.back() == atom.id) {
            in.fail("atom id " + std::to_string(atom.id) + " comes twice in the frame that ends here");
        }
        atoms.id.push_back(atom.id);
        if (has(Role::type)) {
            atoms.type.push_back(atom.type);
        }
        if (has(Role::element)) {
            if (!is_printable(atom.element)) {
                in.fail("element " + quote(atom.element) + " of atom " + std::to_string(atom.id) +
                        " is no name, wanted printable letters");
            }
            atoms.element.emplace_back(atom.element);
        }
    }
    file.release(file.begin() + frame.offset, in.position());
    return atoms;
}

void check_counts(const DumpIndex &index, const std::vector<DumpFrame> &frames, std::size_t atoms) {
    for (const DumpFrame &frame : frames) {
        if (static_cast<std::size_t>(frame.n_atoms) != atoms) {
            throw FormatError(index.path,
                              "the frame that starts here has " + std::to_string(frame.n_atoms) +
                                  " atoms, wanted " + std::to_string(atoms) +
                                  " as in the first frame (frame of step " + std::to_string(frame.step) + ")",
                              frame.atoms_line - 1);
        }
    }
}

void read_positions(const MappedFile &file, const DumpIndex &index, const DumpLayout &layout,
                    const std::vector<DumpFrame> &frames, const std::vector<std::int64_t> &id,
                    View<double, 3> positions_A, int threads) {
    if (positions_A.shape != std::array<std::size_t, 3>{frames.size(), id.size(), 3} || id.empty()) {
        throw std::invalid_argument(
            "positions_A has not one row a frame and an atom, wanted (frames, ids, 3)");
    }
    check_counts(index, frames, id.size());
    const Places places(id);
    // Only what changes along the run: the rest was read once, from the first frame.
    DumpLayout positions = layout;
    for (Role &role : positions.roles) {
        role = role == Role::type || role == Role::element ? Role::skip : role;
    }
    const std::size_t frame_bytes = index.size / std::max<std::size_t>(1, index.frames.size());
    const std::size_t per_task =
        std::max<std::size_t>(1, kTextPerTask / std::max<std::size_t>(1, frame_bytes));
    run_tasks((frames.size() + per_task - 1) / per_task, threads, [&](std::size_t task) {
        const char *first_read = file.end();
        const char *last_read = file.begin();
        std::vector<char> seen(id.size());
        bool in_order = true;
        for (std::size_t t = task * per_task; t < std::min(frames.size(), (task + 1) * per_task); ++t) {
            AtomLines in(file, index, positions, frames[t]);
            first_read = std::min(first_read, in.position());
            std::fill(seen.begin(), seen.end(), 0);
            double *row = positions_A.row(t);
            if (!in_order && positions_A.row_size() <= kCached) {
                std::fill(row, row + positions_A.row_size(), 0.0); // fetched in order, then written in any
            }
            std::size_t place = Places::none;
            AtomLine atom;
            for (std::size_t k = 0; k < id.size(); ++k) {
                in.next(atom);
                const std::size_t guess = place + 1;
                place = places.find(atom.id, guess);
                in_order = in_order && place == guess;
                if (place == Places::none || seen[place] != 0) {
                    in.fail("atom id " + std::to_string(atom.id) +
                            (place == Places::none ? " is not in the first frame" : " comes twice") +
                            "; wanted the same atoms in every frame");
                }
                seen[place] = 1;
                double *r = row + 3 * place;
                to_cartesian(positions.kind, frames[t], atom, r);
                if (!(std::isfinite(r[0]) && std::isfinite(r[1]) && std::isfinite(r[2]))) {
                    in.fail("atom id " + std::to_string(atom.id) +
                            " is at no finite position; its coordinates or image flags are too large");
                }
            }
            last_read = std::max(last_read, in.position());
        }
        file.release(first_read, last_read);
    });
}

} // namespace ionstride
