#include "ionstride/dump.hpp"

#include "ionstride/format_error.hpp"
#include "ionstride/parallel.hpp"
#include "ionstride/text.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string_view>

namespace ionstride {
namespace {

struct Choice {
    Coordinates kind;
    std::array<const char *, 3> r;
    bool image;
};

// The best first: unwrapped ones, and of these the ones that need no image flags.
constexpr std::array<Choice, 6> kChoices = {{{Coordinates::xu, {"xu", "yu", "zu"}, false},
                                             {Coordinates::xsu, {"xsu", "ysu", "zsu"}, false},
                                             {Coordinates::x_image, {"x", "y", "z"}, true},
                                             {Coordinates::xs_image, {"xs", "ys", "zs"}, true},
                                             {Coordinates::x, {"x", "y", "z"}, false},
                                             {Coordinates::xs, {"xs", "ys", "zs"}, false}}};
constexpr std::array<const char *, 3> kImages = {"ix", "iy", "iz"};

std::string join(const std::vector<std::string> &words) {
    std::string text;
    for (const std::string &word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

struct AtomLine {
    std::int64_t id = 0;
    std::int64_t type = 0;
    std::string_view element;
    std::array<double, 3> r{};
    std::array<double, 3> image{};
};

// Walks over the atom lines of one frame.
class AtomLines {
public:
    AtomLines(const MappedFile &file, const DumpIndex &index, const DumpLayout &layout,
              const DumpFrame &frame)
        : file_(file), index_(index), layout_(layout), frame_(frame),
          p_(file.begin() + std::min(frame.atoms_offset, file.size())), line_(frame.atoms_line - 1) {}

    [[noreturn]] void fail(const std::string &problem) const {
        throw FormatError(file_.path(), problem + " (frame of step " + std::to_string(frame_.step) + ")",
                          line_);
    }

    void next(AtomLine &atom) {
        ++line_;
        const char *end = file_.end();
        const char *p = p_;
        for (std::size_t column = 0; column < layout_.roles.size(); ++column) {
            p = skip_blanks(p, end);
            if (p == end || *p == '\n') {
                fail("the line has " + std::to_string(column) + " values, wanted " +
                     std::to_string(layout_.roles.size()) + ": " + join(index_.columns));
            }
            const char *word = p;
            p = parse(layout_.roles[column], word, end, atom);
            if (p == nullptr) {
                const char *stop = skip_word(word, end);
                fail("column '" + index_.columns[column] + "' is " +
                     quote({word, static_cast<std::size_t>(stop - word)}) + ", wanted a " +
                     (is_whole(layout_.roles[column]) ? "whole" : "finite") + " number");
            }
        }
        p = skip_blanks(p, end);
        if (p != end && *p != '\n') {
            fail("the line has more than the " + std::to_string(layout_.roles.size()) +
                 " values of ITEM: ATOMS " + join(index_.columns));
        }
        p_ = p == end ? end : p + 1;
    }

private:
    static bool is_whole(Role role) {
        return role == Role::id || role == Role::type || role == Role::image0 || role == Role::image1 ||
               role == Role::image2;
    }

    static const char *parse(Role role, const char *p, const char *end, AtomLine &atom) {
        switch (role) {
        case Role::skip:
            return skip_word(p, end);
        case Role::id:
            return parse_integer(p, end, atom.id);
        case Role::type:
            return parse_integer(p, end, atom.type);
        case Role::element: {
            const char *stop = skip_word(p, end);
            atom.element = {p, static_cast<std::size_t>(stop - p)};
            return stop;
        }
        case Role::r0:
            return parse_number(p, end, atom.r[0]);
        case Role::r1:
            return parse_number(p, end, atom.r[1]);
        case Role::r2:
            return parse_number(p, end, atom.r[2]);
        case Role::image0:
            return parse_image(p, end, atom.image[0]);
        case Role::image1:
            return parse_image(p, end, atom.image[1]);
        case Role::image2:
            return parse_image(p, end, atom.image[2]);
        }
        return nullptr;
    }

    static const char *parse_image(const char *p, const char *end, double &image) {
        std::int64_t whole = 0;
        const char *stop = parse_integer(p, end, whole);
        image = static_cast<double>(whole);
        return stop;
    }

    const MappedFile &file_;
    const DumpIndex &index_;
    const DumpLayout &layout_;
    const DumpFrame &frame_;
    const char *p_;
    std::int64_t line_;
};

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
        std::copy(r.begin(), r.end(), out);
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

} // namespace

const char *name_of(Coordinates kind) {
    constexpr std::array<const char *, 6> names = {"xu", "xsu", "x+image", "xs+image", "x", "xs"};
    return names[static_cast<std::size_t>(kind)];
}

DumpLayout layout_of(const DumpIndex &index) {
    const auto &columns = index.columns;
    const auto find = [&](const char *name) {
        return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) - columns.begin());
    };
    const auto has = [&](const std::array<const char *, 3> &names) {
        return std::all_of(names.begin(), names.end(),
                           [&](const char *name) { return find(name) < columns.size(); });
    };
    DumpLayout layout;
    layout.roles.assign(columns.size(), Role::skip);
    if (find("id") == columns.size()) {
        throw FormatError(index.path,
                          "the columns are '" + join(columns) +
                              "', wanted 'id' among them: without it atoms cannot "
                              "be followed",
                          index.columns_line);
    }
    const auto choice = std::find_if(kChoices.begin(), kChoices.end(), [&](const Choice &candidate) {
        return has(candidate.r) && (!candidate.image || has(kImages));
    });
    if (choice == kChoices.end()) {
        throw FormatError(index.path,
                          "the columns are '" + join(columns) +
                              "', wanted xu yu zu, xsu ysu zsu, x y z or xs ys zs "
                              "among them",
                          index.columns_line);
    }
    layout.kind = choice->kind;
    layout.roles[find("id")] = Role::id;
    for (const auto &[name, role] : {std::pair{"type", Role::type}, std::pair{"element", Role::element}}) {
        if (find(name) < columns.size()) {
            layout.roles[find(name)] = role;
        }
    }
    for (std::size_t k = 0; k < 3; ++k) {
        layout.roles[find(choice->r[k])] = static_cast<Role>(static_cast<std::size_t>(Role::r0) + k);
        if (choice->image) {
            layout.roles[find(kImages[k])] = static_cast<Role>(static_cast<std::size_t>(Role::image0) + k);
        }
    }
    return layout;
}

DumpAtoms read_atoms(const MappedFile &file, const DumpIndex &index, const DumpLayout &layout,
                     const DumpFrame &frame) {
    const auto has = [&](Role role) {
        return std::find(layout.roles.begin(), layout.roles.end(), role) != layout.roles.end();
    };
    std::vector<AtomLine> lines(static_cast<std::size_t>(frame.n_atoms));
    AtomLines in(file, index, layout, frame);
    for (AtomLine &atom : lines) {
        in.next(atom);
    }
    std::sort(lines.begin(), lines.end(), [](const AtomLine &a, const AtomLine &b) { return a.id < b.id; });
    DumpAtoms atoms;
    for (const AtomLine &atom : lines) {
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
    return atoms;
}

void read_positions(const MappedFile &file, const DumpIndex &index, const DumpLayout &layout,
                    const std::vector<DumpFrame> &frames, const std::vector<std::int64_t> &id,
                    View<double, 3> positions_A, int threads) {
    if (positions_A.shape != std::array<std::size_t, 3>{frames.size(), id.size(), 3} || id.empty()) {
        throw std::invalid_argument(
            "positions_A has not one row a frame and an atom, wanted (frames, ids, 3)");
    }
    const Places places(id);
    // Only what changes along the run: the rest was read once, from the first frame.
    DumpLayout positions = layout;
    for (Role &role : positions.roles) {
        role = role == Role::type || role == Role::element ? Role::skip : role;
    }
    run_tasks(frames.size(), threads, [&](std::size_t t) {
        const DumpFrame &frame = frames[t];
        AtomLines in(file, index, positions, frame);
        if (static_cast<std::size_t>(frame.n_atoms) != id.size()) {
            in.fail("the frame that starts here has " + std::to_string(frame.n_atoms) + " atoms, wanted " +
                    std::to_string(id.size()) + " as in the first frame");
        }
        std::vector<char> seen(id.size(), 0);
        std::size_t place = Places::none;
        AtomLine atom;
        for (std::size_t k = 0; k < id.size(); ++k) {
            in.next(atom);
            place = places.find(atom.id, place + 1);
            if (place == Places::none || seen[place] != 0) {
                in.fail("atom id " + std::to_string(atom.id) +
                        (place == Places::none ? " is not in the first frame" : " comes twice") +
                        "; wanted the same atoms in every frame");
            }
            seen[place] = 1;
            to_cartesian(positions.kind, frame, atom, positions_A.row(t) + 3 * place);
        }
    });
}

} // namespace ionstride
