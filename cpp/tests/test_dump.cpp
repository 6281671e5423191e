#include "check.hpp"

#include "ionstride/dump.hpp"
#include "ionstride/format_error.hpp"

#include <cmath>
#include <fstream>
#include <random>
#include <stdexcept>

#include <unistd.h>

using namespace ionstride;

namespace {

struct Read {
    DumpIndex index;
    DumpLayout layout;
    DumpAtoms atoms;
    std::vector<double> r;
};

std::string path() {
    return "test_dump_" + std::to_string(getpid()) + ".lammpstrj";
}

Read read(const std::string &text, int threads = 2) {
    std::ofstream(path(), std::ios::binary) << text;
    const MappedFile file(path());
    Read result;
    result.index = index_dump(file);
    result.layout = layout_of(result.index);
    result.atoms = read_atoms(file, result.index, result.layout, result.index.frames.front());
    const std::size_t frames = result.index.frames.size();
    const std::size_t atoms = result.atoms.id.size();
    result.r.resize(frames * atoms * 3);
    read_positions(file, result.index, result.layout, result.index.frames, result.atoms.id,
                   {result.r.data(), {frames, atoms, 3}}, threads);
    return result;
}

std::string frame(int step, const std::string &columns, const std::vector<std::string> &atoms) {
    std::string text = "ITEM: TIMESTEP\n" + std::to_string(step) + "\nITEM: NUMBER OF ATOMS\n" +
                       std::to_string(atoms.size()) +
                       "\nITEM: BOX BOUNDS pp pp pp\n0 10\n-1 9.0e0\n2 12\nITEM: ATOMS " + columns + "\n";
    for (const auto &atom : atoms) {
        text += atom + "\n";
    }
    return text;
}

std::string fault(const std::string &text) {
    return message_of<FormatError>([&] { read(text); });
}

void test_order_and_choice() {
    const auto dump =
        read(frame(0, "type id element x y z ix iy iz", {"2 5 S 1 2 3 0 0 0", "1 -3 Li 4 5 6 1 0 -1"}) +
             frame(10, "type id element x y z ix iy iz ", {"1 -3 Li 4 5 6 2 0 -1 ", "2 5 S 1 2 3 0 0 0 "}));
    CHECK(dump.layout.kind == Coordinates::x_image && is_unwrapped(dump.layout.kind));
    CHECK((dump.atoms.id == std::vector<std::int64_t>{-3, 5}));
    CHECK((dump.atoms.element == std::vector<std::string>{"Li", "S"}));
    CHECK((dump.atoms.type == std::vector<std::int64_t>{1, 2}));
    CHECK((dump.r == std::vector<double>{14, 5, -4, 1, 2, 3, 24, 5, -4, 1, 2, 3}));
    CHECK(read(frame(0, "id xs ys zs", {"1 0.5 0.5 0.5"})).r == (std::vector<double>{5, 4, 7}));
    CHECK(read(frame(0, "id x y z xu yu zu", {"1 0 0 0 7 8 9"})).r == (std::vector<double>{7, 8, 9}));
    // Ids so far apart that no table holds them, and whose difference does not fit in 64 bits.
    const auto wide = read(frame(0, "id x y z", {"9223372036854775807 1 1 1", "-9223372036854775808 2 2 2"}));
    CHECK(wide.r == (std::vector<double>{2, 2, 2, 1, 1, 1}));
}

void test_boxes() {
    const std::string head =
        "ITEM: UNITS\nmetal\nITEM: TIME\n0.25\nITEM: TIMESTEP\n5\nITEM: NUMBER OF ATOMS\n1\n";
    const std::string atom = "ITEM: ATOMS id xs ys zs\n1 1 1 1\n";
    const auto tilted =
        read(head + "ITEM: BOX BOUNDS xy xz yz pp pp pp\n-2 11 1\n0 10 -2\n0 10 0.5\n" + atom);
    const std::array<double, 9> h = {10, 0, 0, 1, 9.5, 0, -2, 0.5, 10};
    for (std::size_t k = 0; k < 9; ++k) {
        CHECK(std::abs(tilted.index.frames[0].cell_A[k] - h[k]) < 1e-12);
    }
    CHECK(tilted.index.has_time && tilted.index.frames[0].time == 0.25);
    CHECK((tilted.index.frames[0].origin_A == std::array<double, 3>{0, 0, 0}));
    const auto general =
        read(head + "ITEM: BOX BOUNDS abc origin pp pp pp\n0 5 0 1\n0 0 6 2\n7 0 0 3\n" + atom);
    CHECK(general.r == (std::vector<double>{8, 7, 9}));
    CHECK(contains(fault(head + "ITEM: BOX BOUNDS pp pp pp\n0 10\n0 10\n10 10\n" + atom), "line 12"));
    CHECK(
        contains(fault(head + "ITEM: BOX BOUNDS pp pp pp\n0 10\n0 10 1\n0 10\n" + atom), "wanted 2 finite"));
}

void test_restarts_and_cuts() {
    const std::string c = "id x y z";
    const auto restarted = read(frame(0, c, {"1 0 0 0"}) + frame(2, c, {"1 2 0 0"}) +
                                frame(1, c, {"1 1 0 0"}) + frame(2, c, {"1 3 0 0"}));
    CHECK(restarted.index.repeats == 1 && restarted.index.frames.size() == 3);
    CHECK((restarted.r == std::vector<double>{0, 0, 0, 1, 0, 0, 3, 0, 0}));
    // Cut anywhere in the last frame: it is dropped, and the first stays.
    const std::string whole = frame(0, c, {"1 0 0 0", "2 0 0 0"});
    const std::string last = frame(7, c, {"1 1 1 1", "2 1 1 1"});
    for (std::size_t cut = 1; cut < last.size(); ++cut) {
        const auto dump = read(whole + last.substr(0, cut), 1);
        CHECK(!dump.index.complete && dump.index.frames.size() == 1);
    }
    CHECK(contains(fault(whole.substr(0, whole.size() - 1)), "ends inside its first frame"));
    CHECK(contains(fault(""), "empty"));
    CHECK(contains(fault(last.substr(0, last.size() - 8) + whole), "has 1 of its 2 atom lines"));
}

void test_faults() {
    const std::string c = "id x y z";
    const std::string good = frame(0, c, {"1 0 0 0", "2 0 0 0"});
    CHECK(contains(fault(good + frame(1, c, {"1 0 nan 0", "2 0 0 0"})), "line 21: column 'y' is 'nan'"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0", "2 0 0"})), "line 22: the line has 3 values"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0", "2 0 0 0 0"})), "line 22: the line has more"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0", "1 0 0 0"})), "line 22: atom id 1 comes twice"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0", "3 0 0 0"})),
                   "line 22: atom id 3 is not in the first"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0"})), "1 atoms, wanted 2"));
    CHECK(contains(fault(good + frame(1, "id xu yu zu", {"1 0 0 0", "2 0 0 0"})), "columns"));
    CHECK(contains(fault(frame(0, c, {"1 0 0 0", "1 0 0 0"})), "comes twice"));
    CHECK(contains(fault(frame(0, c, {})), "0 atoms"));
    CHECK(contains(fault(frame(0, "x y z", {"0 0 0"})), "wanted 'id'"));
    CHECK(contains(fault(frame(0, "id vx vy vz", {"1 0 0 0"})), "wanted xu yu zu"));
    CHECK(contains(fault(good + "ITEM: TIMESTEP\n1\n" + good), "second ITEM: TIMESTEP"));
    CHECK(contains(fault("hello\n" + good), "line 1: got 'hello'"));
    CHECK(contains(fault(good + "3 0 0 0\n" + good), "line 12: got '3 0 0 0'"));
    CHECK(
        contains(message_of<std::invalid_argument>([] { MappedFile file("no such file"); }), "no such file"));
    CHECK(contains(message_of<std::invalid_argument>([] { MappedFile file("."); }), "not a regular file"));
}

// Whatever is done to the bytes, the reader reads the file or says what is wrong with it.
void test_mutations() {
    const std::string good =
        frame(0, "id type element x y z ix iy iz", {"2 1 Li 1.5 2e0 3 0 0 0", "1 1 S 1 2 3 0 1 0"}) +
        frame(1, "id type element x y z ix iy iz", {"1 1 Li 1.5 2e0 3 0 0 0", "2 1 S 1 2 3 0 1 0"});
    std::mt19937 random(4);
    const std::string alphabet = std::string("0123456789.-+eE \n\r\tITEM:naxyz\xff", 31) + '\0';
    int readable = 0;
    for (int repeat = 0; repeat < 2000; ++repeat) {
        std::string text = good;
        for (std::size_t change = 0; change <= random() % 4; ++change) {
            const std::size_t at = random() % text.size();
            switch (random() % 4) {
            case 0:
                text[at] = alphabet[random() % alphabet.size()];
                break;
            case 1:
                text.insert(at, 1, alphabet[random() % alphabet.size()]);
                break;
            case 2:
                text.erase(at, 1 + random() % 20);
                break;
            default:
                text.insert(at, text.substr(random() % text.size(), random() % 60));
            }
            if (text.empty()) {
                text = good;
            }
        }
        try {
            for (const double value : read(text, 1).r) {
                CHECK(std::isfinite(value));
            }
            ++readable;
        } catch (const FormatError &error) {
            CHECK(error.line >= 1);
        }
    }
    CHECK(readable > 50 && readable < 1950);
}

} // namespace

int main() {
    test_order_and_choice();
    test_boxes();
    test_restarts_and_cuts();
    test_faults();
    test_mutations();
    std::remove(path().c_str());
    return 0;
}
