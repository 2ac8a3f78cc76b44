#include "gateway/core/event_text.hpp"

#include <algorithm>

namespace touchpoint {
namespace {

// The end of the JSON string whose opening quote stands at `at`: the place of its closing quote, or the end
// of the text.
std::size_t string_end(std::string_view text, std::size_t at) {
    for (++at; at < text.size() && text[at] != '"'; ++at)
        if (text[at] == '\\') ++at;
    return std::min(at, text.size());
}

// An outermost member: from its key's opening quote to behind its value.
struct Member {
    std::size_t begin = std::string_view::npos;
    std::size_t value = 0;
    std::size_t end = 0;
    bool found() const { return begin != std::string_view::npos; }
};

Member find_member(std::string_view members, std::string_view key) {
    Member member;
    bool in_key = true;
    int depth = 0;
    for (std::size_t at = 0; at < members.size(); ++at) {
        const char c = members[at];
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        if (c == ',' && depth == 0) {
            if (member.found()) return member.end = at, member;
            in_key = true;
        }
        if (c != '"') continue;
        const std::size_t end = string_end(members, at);
        if (depth == 0 && in_key) {
            in_key = false;
            const bool named = end + 1 < members.size() && members[end + 1] == ':';
            if (named && members.substr(at + 1, end - at - 1) == key) {
                member.begin = at;
                member.value = end + 2;
            }
        }
        at = end;
    }
    member.end = members.size();
    return member;
}

}  // namespace

std::string_view outer_value(std::string_view members, std::string_view key) {
    const Member member = find_member(members, key);
    return member.found() ? members.substr(member.value, member.end - member.value) : std::string_view{};
}

std::string_view outer_text(std::string_view members, std::string_view key) {
    const std::string_view value = outer_value(members, key);
    if (value.size() < 2 || value.front() != '"') return {};
    return value.substr(1, string_end(value, 0) - 1);
}

std::string without_member(std::string_view members, std::string_view key) {
    const Member member = find_member(members, key);
    if (!member.found()) return std::string(members);
    // With the comma behind it, or as the last one with the comma in front.
    const std::size_t begin =
        member.end == members.size() && member.begin > 0 ? member.begin - 1 : member.begin;
    const std::size_t end = std::min(member.end + 1, members.size());
    return std::string(members.substr(0, begin)).append(members.substr(end));
}

std::vector<std::string_view> persons_in(Stream stream, std::string_view members) {
    std::vector<std::string_view> persons;
    const auto add = [&](std::string_view name) {
        if (name.starts_with(pseudonym_prefix)) persons.push_back(name.substr(pseudonym_prefix.size()));
    };
    add(outer_text(members, "subject"));
    for (std::string_view rest = outer_text(members, "sameas"); !rest.empty();) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        add(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    if (stream != Stream::quarantine) return persons;
    const std::string_view list = outer_value(members, "persons");
    for (std::size_t at = list.find('"'); at < list.size();) {
        const std::size_t end = string_end(list, at);
        persons.push_back(list.substr(at + 1, end - at - 1));
        at = list.find('"', end + 1);
    }
    return persons;
}

std::string without_person(Stream stream, std::string_view members) {
    std::string out = without_member(without_member(members, "subject"), "sameas");
    if (stream != Stream::quarantine) return out;
    out = without_member(out, "persons");
    std::string_view data = outer_value(out, "data");
    if (data.size() < 2 || data.front() != '{') return out;
    data = data.substr(1, data.size() - 2);
    std::string left = without_member(without_member(data, "sealed"), "sealed_properties");
    left += left.empty() ? "\"erased\":true" : ",\"erased\":true";
    return without_member(out, "data") + ",\"data\":{" + left + '}';
}

bool take_person_out(Stream stream, std::string& members, const IsErased& erased) {
    const auto persons = persons_in(stream, members);
    if (std::none_of(persons.begin(), persons.end(), erased)) return false;
    members = without_person(stream, members);
    return true;
}

}  // namespace touchpoint
