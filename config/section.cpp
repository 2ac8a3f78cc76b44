#include "config/section.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <system_error>

namespace touchpoint::config {
namespace {

std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "\"" : ", \"") + name + "\"";
    return out;
}

std::size_t distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace

std::string nearest(const std::string& text, const std::vector<std::string>& names) {
    constexpr std::size_t key_bytes_max = 64;  // longer ones are no typing errors
    if (text.size() > key_bytes_max) return {};
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(2, text.size() / 3) + 1;
    for (const std::string& name : names) {
        // "token_file" for "bearer_token_file": a part of the name counts as near.
        const bool part = text.size() >= 4 && name.find(text) != std::string::npos;
        const std::size_t d = part ? 1 : distance(text, name);
        if (d < best_distance) best = name, best_distance = d;
    }
    return best;
}

Section::Section(Reading& reading, const Node* table, std::string path)
    : reading_(reading), table_(table), path_(std::move(path)) {}

void Section::asked(const std::string& key) {
    asked_.push_back(key);
    reading_.keys.push_back(name(key));
}

void Section::complain(const std::string& key, std::string text, bool error) {
    const Member* member = table_ == nullptr ? nullptr : table_->find(key);
    Position where;
    if (member != nullptr)
        where = member->value.where;
    else if (table_ != nullptr)
        where = table_->where;
    reading_.problems.push_back({where, std::move(text), error});
}

const Node* Section::value(const std::string& key, Node::Kind kind, const char* kind_words) {
    asked(key);
    const Member* member = table_ == nullptr ? nullptr : table_->find(key);
    if (member == nullptr) return nullptr;
    if (member->value.kind == kind) return &member->value;
    complain(key, name(key) + " must be " + (kind_words != nullptr ? kind_words : words(kind)) + ", not " +
                      words(member->value.kind));
    return nullptr;
}

void Section::text(const std::string& key, std::string& out, TextRule rule) {
    const Node* node = value(key, Node::Kind::text);
    if (node == nullptr) return;
    if (const std::string right = rule(node->text); !right.empty())
        complain(key, name(key) + " must be " + right);
    else
        out = node->text;
}

void Section::required_text(const std::string& key, std::string& out, TextRule rule) {
    if (present() && !has(key)) complain(key, name(key) + " is missing; it must be " + rule(""));
    text(key, out, rule);
}

void Section::path(const std::string& key, std::filesystem::path& out) {
    const Node* node = value(key, Node::Kind::text);
    if (node == nullptr) return;
    if (node->text.empty() || node->text.front() != '/')
        complain(key, name(key) + " must be a path from the root, such as \"" + out.string() + "\"");
    else
        out = node->text;
}

void Section::file(const std::string& key, std::string& out) {
    const Node* node = value(key, Node::Kind::text);
    if (node == nullptr) return;
    if (node->text.empty() || node->text.front() != '/') {
        complain(key, name(key) + " must be the path of a file, from the root");
        return;
    }
    out = node->text;
    std::error_code error;
    if (!std::filesystem::exists(node->text, error))
        complain(key, name(key) + ": there is no file " + node->text);
    else if (!std::filesystem::is_regular_file(node->text, error))
        complain(key, name(key) + ": " + node->text + " is not a file");
    else if (!std::ifstream(node->text))
        complain(key, name(key) + ": " + node->text +
                          " cannot be read; is it readable for the user who runs touchpointd?");
}

void Section::texts(const std::string& key, std::vector<std::string>& out, TextRule rule) {
    const Node* node = value(key, Node::Kind::array, "a list of texts");
    if (node == nullptr) return;
    std::vector<std::string> read;
    for (const Node& item : node->items) {
        const std::string right = item.kind == Node::Kind::text ? rule(item.text) : "a text in quotes";
        if (!right.empty())
            reading_.problems.push_back(
                {item.where, "each item of " + name(key) + " must be " + right, true});
        read.push_back(item.text);
    }
    out = std::move(read);
}

void Section::pairs(const std::string& key, std::vector<std::pair<std::string, std::string>>& out,
                    TextRule name_rule, TextRule value_rule) {
    const Node* node = value(key, Node::Kind::table, "a table of texts, such as { \"X-Name\" = \"value\" }");
    if (node == nullptr) return;
    out.clear();
    for (const Member& member : node->members) {
        if (const std::string right = name_rule(member.key); !right.empty())
            reading_.problems.push_back(
                {member.where, "each name in " + name(key) + " must be " + right, true});
        const std::string right =
            member.value.kind == Node::Kind::text ? value_rule(member.value.text) : "a text in quotes";
        if (!right.empty())
            reading_.problems.push_back(
                {member.value.where, "each value in " + name(key) + " must be " + right, true});
        out.emplace_back(member.key, member.value.text);
    }
}

void Section::flag(const std::string& key, bool& out) {
    if (const Node* node = value(key, Node::Kind::boolean)) out = node->boolean;
}

std::optional<std::int64_t> Section::integer(const std::string& key, std::int64_t least, std::int64_t most,
                                             const char* unit) {
    const Node* node = value(key, Node::Kind::integer);
    if (node == nullptr) return std::nullopt;
    if (node->integer >= least && node->integer <= most) return node->integer;
    const std::string after = *unit == '\0' ? std::string() : std::string(" ") + unit;
    complain(key, name(key) + " must be " + std::to_string(least) + " to " + std::to_string(most) + after +
                      ", not " + std::to_string(node->integer));
    return std::nullopt;
}

std::optional<std::size_t> Section::one_of(const std::string& key, const std::vector<std::string>& names) {
    const Node* node = value(key, Node::Kind::text);
    if (node == nullptr) return std::nullopt;
    const auto found = std::find(names.begin(), names.end(), node->text);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    const std::string near = nearest(node->text, names);
    complain(key, name(key) + " must be one of " + joined(names) +
                      (near.empty() ? std::string() : "; did you mean \"" + near + "\"?"));
    return std::nullopt;
}

const Node* Section::table(const std::string& key) {
    asked_.push_back(key);
    const Member* member = table_ == nullptr ? nullptr : table_->find(key);
    if (member == nullptr) return nullptr;
    if (member->value.kind == Node::Kind::table) return &member->value;
    complain(key,
             name(key) + " must be a table, written [" + name(key) + "], not " + words(member->value.kind));
    return nullptr;
}

std::vector<const Node*> Section::tables(const std::string& key) {
    asked_.push_back(key);
    std::vector<const Node*> out;
    const Member* member = table_ == nullptr ? nullptr : table_->find(key);
    if (member == nullptr) return out;
    const std::string right = name(key) + " must be a list of tables, each written [[" + name(key) + "]]";
    if (member->value.kind != Node::Kind::array) {
        complain(key, right);
        return out;
    }
    for (const Node& item : member->value.items) {
        if (item.kind == Node::Kind::table)
            out.push_back(&item);
        else
            reading_.problems.push_back({item.where, right, true});
    }
    return out;
}

void Section::finish() {
    if (table_ == nullptr) return;
    for (const Member& member : table_->members) {
        if (std::find(asked_.begin(), asked_.end(), member.key) != asked_.end()) continue;
        const std::string near = nearest(member.key, asked_);
        std::string text = name(member.key) + " is not known";
        if (!near.empty())
            text += "; did you mean " + near + "?";
        else if (!asked_.empty())
            text += "; here stand " + joined(asked_);
        reading_.problems.push_back({member.where, text, true});
    }
}

}  // namespace touchpoint::config
