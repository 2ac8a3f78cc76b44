// A TOML text as plain values with positions, so that a complaint can name file, line and column. The grammar
// is toml++'s business, in document.cpp alone; the meaning is loader.cpp's.
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace touchpoint::config {

struct Position {
    std::shared_ptr<const std::string> file;
    std::uint32_t line = 0;  // from 1; 0: the file as a whole
    std::uint32_t column = 0;
};

// One finding. An error refuses the configuration, a warning does not.
struct Problem {
    Position where;
    std::string text;  // what is wrong, and what would be right
    bool error = true;
};
// "/etc/touchpoint/touchpoint.toml:12:3: error: ..."
std::string to_text(const Problem& problem);

struct Member;
struct Node {
    enum class Kind : std::uint8_t { boolean, integer, real, text, array, table, date_or_time };

    Kind kind = Kind::table;
    bool boolean = false;
    std::int64_t integer = 0;
    double real = 0;
    std::string text;
    std::vector<Node> items;      // of an array
    std::vector<Member> members;  // of a table, in the order of the file
    Position where;
    bool array_of_tables = false;  // written as [[name]]

    const Member* find(const std::string& key) const;
};
struct Member {
    std::string key;
    Position where;  // of the key
    Node value;
};

// How the kind is called in a message: "a text", "a whole number".
const char* words(Node::Kind kind);

// Reads one file. What cannot be read or parsed becomes a problem, and the table stays empty. Files above
// file_bytes_max are refused: a configuration is written by hand.
inline constexpr std::uintmax_t file_bytes_max = 1u << 20;
Node read_document(const std::filesystem::path& file, std::vector<Problem>& problems);

// Lays `later` over `base`: tables merge, [[arrays of tables]] append, anything else is replaced. That is
// what conf.d is for, and no reason to warn.
void merge(Node& base, Node later);

}  // namespace touchpoint::config
