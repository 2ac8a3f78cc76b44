#include "config/document.hpp"

#include <toml++/toml.h>
#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace touchpoint::config {
namespace {

using File = std::shared_ptr<const std::string>;

Position position(const File& file, const toml::source_region& source) {
    return {file, source.begin.line, source.begin.column};
}

Node convert(const toml::node& from, const File& file) {
    Node to;
    to.where = position(file, from.source());
    switch (from.type()) {
        case toml::node_type::boolean:
            to.kind = Node::Kind::boolean;
            to.boolean = from.as_boolean()->get();
            break;
        case toml::node_type::integer:
            to.kind = Node::Kind::integer;
            to.integer = from.as_integer()->get();
            break;
        case toml::node_type::floating_point:
            to.kind = Node::Kind::real;
            to.real = from.as_floating_point()->get();
            break;
        case toml::node_type::string:
            to.kind = Node::Kind::text;
            to.text = from.as_string()->get();
            break;
        case toml::node_type::array: {
            to.kind = Node::Kind::array;
            const toml::array& array = *from.as_array();
            to.array_of_tables = !array.empty();
            for (const toml::node& item : array) {
                to.items.push_back(convert(item, file));
                // x = [ {..} ] is an inline array, which a later file replaces; [[x]] grows.
                if (!item.is_table() || item.as_table()->is_inline()) to.array_of_tables = false;
            }
            break;
        }
        case toml::node_type::table:
            to.kind = Node::Kind::table;
            for (const auto& [key, value] : *from.as_table())
                to.members.push_back(
                    {std::string(key.str()), position(file, key.source()), convert(value, file)});
            std::stable_sort(to.members.begin(), to.members.end(), [](const Member& a, const Member& b) {
                return std::pair(a.where.line, a.where.column) < std::pair(b.where.line, b.where.column);
            });
            break;
        case toml::node_type::date:
        case toml::node_type::time:
        case toml::node_type::date_time:
            to.kind = Node::Kind::date_or_time;
            break;
        case toml::node_type::none:
            break;
    }
    return to;
}

}  // namespace

const Member* Node::find(const std::string& key) const {
    const auto found =
        std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
    return found == members.end() ? nullptr : &*found;
}

const char* words(Node::Kind kind) {
    switch (kind) {
        case Node::Kind::boolean:
            return "true or false";
        case Node::Kind::integer:
            return "a whole number";
        case Node::Kind::real:
            return "a number with a fraction";
        case Node::Kind::text:
            return "a text in quotes";
        case Node::Kind::array:
            return "a list";
        case Node::Kind::table:
            return "a table";
        case Node::Kind::date_or_time:
            return "a date or time";
    }
    return "?";
}

std::string to_text(const Problem& problem) {
    std::string text = problem.where.file ? *problem.where.file : std::string("touchpoint.toml");
    if (problem.where.line != 0)
        text += ":" + std::to_string(problem.where.line) + ":" + std::to_string(problem.where.column);
    return text + (problem.error ? ": error: " : ": warning: ") + problem.text;
}

Node read_document(const std::filesystem::path& path, std::vector<Problem>& problems) {
    const auto file = std::make_shared<const std::string>(path.string());
    Node empty;
    empty.where = {file, 0, 0};
    const auto refuse = [&](std::string text, std::uint32_t line = 0, std::uint32_t column = 0) {
        problems.push_back({{file, line, column}, std::move(text), true});
        return empty;
    };

    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::status_known(status)) return refuse("this file cannot be read: " + error.message());
    if (!std::filesystem::exists(status)) return refuse("there is no such file");
    if (std::filesystem::is_directory(status)) return refuse("this is a folder; name the file in it");
    const auto size = std::filesystem::file_size(path, error);
    if (!error && size > file_bytes_max) return refuse("larger than 1 MiB; this is no configuration");
    std::ifstream stream(path, std::ios::binary);
    if (!stream) return refuse("cannot be read; is it readable for the user who runs touchpointd?");
    const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    try {
        const toml::table table = toml::parse(std::string_view(text));
        Node document = convert(table, file);
        document.where = {file, 0, 0};
        return document;
    } catch (const toml::parse_error& problem) {
        return refuse("not TOML: " + std::string(problem.description()), problem.source().begin.line,
                      problem.source().begin.column);
    }
}

void merge(Node& base, Node later) {
    for (Member& member : later.members) {
        const auto found = std::find_if(base.members.begin(), base.members.end(),
                                        [&](const Member& m) { return m.key == member.key; });
        if (found == base.members.end()) {
            base.members.push_back(std::move(member));
            continue;
        }
        Node& old = found->value;
        if (old.kind == Node::Kind::table && member.value.kind == Node::Kind::table) {
            merge(old, std::move(member.value));
        } else if (old.array_of_tables && member.value.array_of_tables) {
            std::move(member.value.items.begin(), member.value.items.end(), std::back_inserter(old.items));
        } else {
            *found = std::move(member);
        }
    }
}

}  // namespace touchpoint::config
