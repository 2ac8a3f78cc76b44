// One table of the configuration while it is read: each key is asked for once, with its rule. What nobody
// asked for is unknown, and the nearest known name is offered.
//
// Threads: none.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/document.hpp"

namespace touchpoint::config {

// What would be right, when the text is not; empty: it is.
using TextRule = std::string (*)(const std::string& text);

// All keys that were asked for, for the test that compares them with the shipped file.
struct Reading {
    std::vector<Problem>& problems;
    std::vector<std::string> keys;
};

class Section {
  public:
    // `table` may be null: then every key keeps its default and none is missed. `path` is its name
    // ("http.local").
    Section(Reading& reading, const Node* table, std::string path);

    bool present() const { return table_ != nullptr; }
    // Whether the file sets this key.
    bool has(const std::string& key) const { return table_ != nullptr && table_->find(key) != nullptr; }
    void text(const std::string& key, std::string& out, TextRule rule);
    void required_text(const std::string& key, std::string& out, TextRule rule);
    void path(const std::string& key, std::filesystem::path& out);
    // A file that must exist and be readable now.
    void file(const std::string& key, std::string& out);
    void texts(const std::string& key, std::vector<std::string>& out, TextRule rule);
    // A table of texts.
    void pairs(const std::string& key, std::vector<std::pair<std::string, std::string>>& out,
               TextRule name_rule, TextRule value_rule);
    std::optional<std::int64_t> integer(const std::string& key, std::int64_t least, std::int64_t most,
                                        const char* unit);
    template <class T>
    void number(const std::string& key, T& out, std::int64_t least, std::int64_t most, const char* unit) {
        if (const auto value = integer(key, least, most, unit)) out = static_cast<T>(*value);
    }
    void flag(const std::string& key, bool& out);
    // The unit is Counted's: seconds, milliseconds, hours.
    template <class Counted, class Duration>
    void duration(const std::string& key, Duration& out, std::int64_t least, std::int64_t most) {
        if (const auto value = integer(key, least, most, unit(Counted{}))) out = Duration(Counted(*value));
    }
    // One of a few words.
    template <class T>
    void choice(const std::string& key, T& out, std::initializer_list<std::pair<const char*, T>> words) {
        std::vector<std::string> names;
        for (const auto& word : words) names.emplace_back(word.first);
        const auto chosen = one_of(key, names);
        if (chosen) out = (words.begin() + static_cast<std::ptrdiff_t>(*chosen))->second;
    }
    // The table `key` inside this one, or null; the tables of [[key]].
    const Node* table(const std::string& key);
    std::vector<const Node*> tables(const std::string& key);

    // A complaint about a key, or about the table where the key is not set.
    void complain(const std::string& key, std::string text, bool error = true);
    // Call last: what is left is unknown.
    void finish();

  private:
    static const char* unit(std::chrono::milliseconds) { return "ms"; }
    static const char* unit(std::chrono::seconds) { return "s"; }
    static const char* unit(std::chrono::hours) { return "h"; }
    const Node* value(const std::string& key, Node::Kind kind, const char* kind_words = nullptr);
    std::optional<std::size_t> one_of(const std::string& key, const std::vector<std::string>& names);
    std::string name(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
    void asked(const std::string& key);

    Reading& reading_;
    const Node* table_;
    std::string path_;
    std::vector<std::string> asked_;
};

// Of `names`, the one that `text` was probably meant to be; empty when none is near.
std::string nearest(const std::string& text, const std::vector<std::string>& names);

}  // namespace touchpoint::config
