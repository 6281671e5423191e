#include "ionstride/dump.hpp"

#include "ionstride/format_error.hpp"
#include "ionstride/text.hpp"

#include <algorithm>
#include <array>

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

} // namespace ionstride
