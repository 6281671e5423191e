// Damaged dumps: whatever is done to the bytes of a dump, the reader reads it, or says in a FormatError what
// is wrong.  Built with sanitizers (preset asan) this also finds reads out of bounds: each text lies in
// memory of exactly its size.
//
//     fuzz_dump [mutants [seed [first]]]        the same mutants for the same seed, on any machine
#include "check.hpp"

#include "ionstride/dump.hpp"
#include "ionstride/format_error.hpp"
#include "ionstride/text.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <random>

using namespace ionstride;

namespace {

std::size_t largest_allocation = static_cast<std::size_t>(-1);
unsigned long long mutant = 0;

} // namespace

// Memory must follow what is in the file, not what its header claims.
void *operator new(std::size_t size) {
    if (size > largest_allocation) {
        std::fprintf(stderr, "mutant %llu: %zu bytes wanted at once, limit %zu\n", mutant, size,
                     largest_allocation);
        std::abort();
    }
    void *memory = std::malloc(std::max<std::size_t>(1, size));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}
void operator delete(void *memory) noexcept {
    std::free(memory);
}
void operator delete(void *memory, std::size_t) noexcept {
    std::free(memory);
}

namespace {

// Only its raw bits: the distributions of the standard library differ from one to the next.
struct Random {
    std::mt19937_64 bits;
    std::size_t below(std::size_t count) {
        return static_cast<std::size_t>(bits() % std::max<std::size_t>(1, count));
    }
    template <class Values> auto &of(Values &values) { return values[below(values.size())]; }
};

struct Style {
    const char *before;  // items in front of the time step
    const char *box;     // BOX BOUNDS and its lines
    const char *columns; // of ITEM: ATOMS
    std::size_t atoms;
    std::size_t frames;
};

const std::string kPeriodic = "ITEM: BOX BOUNDS pp pp pp\n";
const std::string kOrthogonal = kPeriodic + "0.0000000000000000e+00 1.25e+01\n-1 9.5\n2 12\n";
const std::string kTilted = "ITEM: BOX BOUNDS xy xz yz pp pp pp\n-2 11 1\n0 10 -2\n0 10 0.5\n";
const std::string kGeneral = "ITEM: BOX BOUNDS abc origin pp pp pp\n5 1 2 -1\n0 6 1 -2\n1 0 7 -3\n";
const char *const kTimed = "ITEM: UNITS\nmetal\nITEM: TIME\n0.25\n";

const std::array<Style, 9> kStyles = {{{"", kOrthogonal.c_str(), "id type x y z", 6, 3},
                                       {"", kOrthogonal.c_str(), "id type xu yu zu vx fy", 5, 4},
                                       {kTimed, kOrthogonal.c_str(), "id element x y z ix iy iz", 7, 3},
                                       {"", kTilted.c_str(), "type id xs ys zs", 6, 3},
                                       {kTimed, kTilted.c_str(), "id xs ys zs ix iy iz q", 4, 3},
                                       {"", kGeneral.c_str(), "id element xsu ysu zsu", 5, 2},
                                       {"", kTilted.c_str(), "c_1[1] zu yu xu mol id", 1, 6},
                                       {"", kOrthogonal.c_str(), "id type element xu yu zu", 170, 3},
                                       {"", kOrthogonal.c_str(), "element id x y z", 400, 2}}};

std::string value_for(const std::string &column, std::size_t id, Random &random) {
    if (column == "id") {
        return std::to_string(id);
    }
    if (column == "element") {
        static const std::array<const char *, 3> names = {"Li", "S", "I"};
        return names[id % 3];
    }
    if (column == "type" || column == "mol" || column[0] == 'i') {
        return std::to_string(static_cast<int>(random.below(5)) - (column[0] == 'i' ? 2 : 0));
    }
    static const std::array<const char *, 6> formats = {"%.6f", "%g", "%.16g", "%.10e", "%.17g", "%.3f"};
    char text[64];
    const double value = (static_cast<double>(random.below(2000001)) - 5e5) / 123456.0;
    std::snprintf(text, sizeof text, formats[id % 2 == 0 ? 0 : random.below(formats.size())], value);
    return text;
}

std::string whole_dump(const Style &style, Random &random) {
    const auto columns = split(style.columns);
    std::vector<std::size_t> ids(style.atoms);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        ids[i] = i + 1;
    }
    std::string text;
    for (std::size_t frame = 0; frame < style.frames; ++frame) {
        text += std::string(style.before) + "ITEM: TIMESTEP\n" + std::to_string(50 * frame) +
                "\nITEM: NUMBER OF ATOMS\n" + std::to_string(ids.size()) + "\n" + style.box + "ITEM: ATOMS " +
                style.columns + "\n";
        for (const std::size_t id : ids) {
            for (const auto &column : columns) {
                text += value_for(column, id, random) + " ";
            }
            text.back() = '\n';
        }
        std::swap(random.of(ids), random.of(ids)); // unsorted from the second frame on
    }
    return text;
}

// From somewhere to the end of that line or word.
std::size_t end_of(const std::string &text, std::size_t at, const char *stops) {
    return std::min(text.size(), text.find_first_of(stops, at));
}

std::size_t line_at(const std::string &text, std::size_t at) {
    const auto before = at == 0 ? text.npos : text.rfind('\n', at - 1);
    return before == text.npos ? 0 : before + 1;
}

const std::array<const char *, 36> kWords = {"0",
                                             "-0",
                                             "1e308",
                                             "-1e308",
                                             "1e999",
                                             "1e-320",
                                             "nan",
                                             "inf",
                                             "-inf",
                                             "0x10",
                                             "1.",
                                             ".5",
                                             "+1",
                                             "--1",
                                             "9223372036854775807",
                                             "-9223372036854775808",
                                             "9223372036854775808",
                                             "18446744073709551616",
                                             "1000000000000",
                                             "4294967296",
                                             "2147483647",
                                             "99999999",
                                             "9999999",
                                             "12345678.12345678",
                                             "1234567.12345678",
                                             "123.123456789012345678901234567890",
                                             "9007199254740993",
                                             "0.00000000000000000000000000000001",
                                             "1e",
                                             "e1",
                                             "ITEM:",
                                             "ITEM: TIMESTEP",
                                             "ITEM: ATOMS id x y z",
                                             "\n",
                                             "\r\n",
                                             "I"};

void damage(std::string &text, Random &random) {
    static const std::string alphabet =
        std::string("0123456789.-+eE \n\r\tITEM:naxyz\xff\x80\x01", 33) + '\0';
    const std::size_t at = random.below(text.size());
    switch (random.below(12)) {
    case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << random.below(8)));
        break;
    case 1:
        text[at] = random.of(alphabet);
        break;
    case 2:
        text.insert(at, 1, random.of(alphabet));
        break;
    case 3:
        text.erase(at, 1 + random.below(40));
        break;
    case 4: { // a line twice
        const std::size_t begin = line_at(text, at);
        text.insert(begin, text.substr(begin, end_of(text, at, "\n") + 1 - begin));
        break;
    }
    case 5: { // a line less
        const std::size_t begin = line_at(text, at);
        text.erase(begin, end_of(text, at, "\n") + 1 - begin);
        break;
    }
    case 6:
        text.resize(at);
        break;
    case 7: { // a word replaced
        const std::size_t begin = std::min(end_of(text, at, " \n") + 1, text.size());
        text.replace(begin, end_of(text, begin, " \n") - begin, random.of(kWords));
        break;
    }
    case 8: { // a header's number replaced
        static const std::array<const char *, 5> items = {"TIMESTEP\n", "OF ATOMS\n", "BOUNDS", "TIME\n",
                                                          "xy xz yz"};
        const auto item = text.find(random.of(items), at);
        if (item != text.npos) {
            const std::size_t begin = std::min(end_of(text, item, "\n") + 1, text.size());
            text.replace(begin, end_of(text, begin, " \n") - begin, random.of(kWords));
        }
        break;
    }
    case 9: // a stretch moved
        text.insert(random.below(text.size()), text.substr(at, random.below(400)));
        break;
    case 10: { // two lines change places
        const std::size_t begin = line_at(text, at);
        const std::string line = text.substr(begin, end_of(text, at, "\n") + 1 - begin);
        text.erase(begin, line.size());
        text.insert(line_at(text, random.below(text.size())), line);
        break;
    }
    default: // one character for another, everywhere
        std::replace(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), random.of(alphabet),
                     random.of(alphabet));
    }
}

// What was read, once more in the plainest way: line by line, and each number by the C library.
void compare_with_plain_reading(const std::string &text, const DumpIndex &index, const DumpLayout &layout,
                                const DumpAtoms &atoms, const std::vector<double> &r) {
    const auto place_of = [&](Role role) {
        return static_cast<std::size_t>(std::find(layout.roles.begin(), layout.roles.end(), role) -
                                        layout.roles.begin());
    };
    for (std::size_t t = 0; t < index.frames.size(); ++t) {
        const DumpFrame &frame = index.frames[t];
        CHECK(text.compare(frame.offset, 6, "ITEM: ") == 0);
        const auto before = text.begin() + static_cast<std::ptrdiff_t>(frame.atoms_offset);
        CHECK(frame.atoms_line == 1 + std::count(text.begin(), before, '\n'));
        std::size_t at = frame.atoms_offset;
        for (std::int64_t i = 0; i < frame.n_atoms; ++i) {
            const std::size_t stop = text.find('\n', at);
            CHECK(stop != text.npos);
            const auto words = split(text.substr(at, stop - at));
            CHECK(words.size() == layout.roles.size());
            const std::int64_t id = std::strtoll(words[place_of(Role::id)].c_str(), nullptr, 10);
            const auto place = std::lower_bound(atoms.id.begin(), atoms.id.end(), id) - atoms.id.begin();
            for (std::size_t k = 0;
                 k < 3 && (layout.kind == Coordinates::xu || layout.kind == Coordinates::x); ++k) {
                const Role role = static_cast<Role>(static_cast<std::size_t>(Role::r0) + k);
                const double expected = std::strtod(words[place_of(role)].c_str(), nullptr);
                CHECK(r[3 * (t * atoms.id.size() + static_cast<std::size_t>(place)) + k] == expected);
            }
            at = stop + 1;
        }
    }
}

// Returns whether the text could be read.
bool try_to_read(const std::string &text, bool twice) {
    const std::unique_ptr<char[]> exact(new char[text.size()]);
    std::memcpy(exact.get(), text.data(), text.size());
    const MappedFile file("mutant", exact.get(), text.size());
    largest_allocation = 64 * text.size() + (1U << 20U);
    try {
        const DumpIndex index = index_dump(file);
        const DumpLayout layout = layout_of(index);
        const DumpAtoms atoms = read_atoms(file, index, layout, index.frames.front());
        check_counts(index, index.frames, atoms.id.size());
        const std::array<std::size_t, 3> shape = {index.frames.size(), atoms.id.size(), 3};
        std::vector<double> r(shape[0] * shape[1] * shape[2]);
        read_positions(file, index, layout, index.frames, atoms.id, {r.data(), shape}, 1);
        CHECK(std::all_of(r.begin(), r.end(), [](double value) { return std::isfinite(value); }));
        CHECK(std::is_sorted(atoms.id.begin(), atoms.id.end()));
        compare_with_plain_reading(text, index, layout, atoms, r);
        if (twice) {
            std::vector<double> again(r.size());
            read_positions(file, index, layout, index.frames, atoms.id, {again.data(), shape}, 2);
            CHECK(std::memcmp(r.data(), again.data(), r.size() * sizeof(double)) == 0);
        }
        return true;
    } catch (const FormatError &error) {
        CHECK(error.line >= 1 && error.line <= 1 + std::count(text.begin(), text.end(), '\n'));
        CHECK(std::string(error.what()).find('\n') == std::string::npos);
        return false;
    }
}

unsigned long long argument(int count, char **values, int place, unsigned long long otherwise) {
    return count > place ? std::strtoull(values[place], nullptr, 10) : otherwise;
}

} // namespace

int main(int count, char **values) {
    const auto mutants = argument(count, values, 1, 3000);
    const auto seed = argument(count, values, 2, 1);
    const auto first = argument(count, values, 3, 0);
    unsigned long long readable = 0;
    for (mutant = first; mutant < first + mutants; ++mutant) {
        Random random{std::mt19937_64(seed * 1000003 + mutant)};
        const Style &style = kStyles[random.below(8) == 0 ? 7 + random.below(2) : random.below(7)];
        std::string text = whole_dump(style, random);
        for (std::size_t changes = 1 + random.below(4); changes > 0 && !text.empty(); --changes) {
            damage(text, random);
        }
        if (mutant % 1000 == 0) {
            std::fprintf(stderr, "mutant %llu, %llu readable so far\n", mutant, readable);
        }
        readable += try_to_read(text, mutant % 32 == 0) ? 1 : 0;
        largest_allocation = static_cast<std::size_t>(-1);
    }
    std::printf("%llu damaged dumps: %llu read, %llu refused in words\n", mutants, readable,
                mutants - readable);
    CHECK(mutants < 1000 || (readable > mutants / 50 && readable < mutants - mutants / 50));
    for (const Style &style : kStyles) { // undamaged, all are read
        Random random{std::mt19937_64(seed)};
        CHECK(try_to_read(whole_dump(style, random), true));
    }
    return 0;
}
