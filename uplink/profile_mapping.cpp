#include "uplink/profile_mapping.hpp"

#include <algorithm>
#include <charconv>
#include <functional>

#include "gateway/core/json_slice.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::uplink {
namespace {

constexpr std::uint64_t version_max = (1ull << 53) - 1;  // what every JSON reader can hold
constexpr std::size_t steps_max = 16;
constexpr std::string_view every = "*";

using Steps = std::vector<std::string>;
using Keys = std::vector<std::string>;

std::optional<Steps> steps_of(std::string_view pointer) {
    Steps steps;
    while (!pointer.empty()) {
        if (pointer.front() != '/' || steps.size() == steps_max) return std::nullopt;
        pointer.remove_prefix(1);
        const std::size_t end = std::min(pointer.find('/'), pointer.size());
        std::string step;
        for (std::size_t i = 0; i < end; ++i) {
            if (pointer[i] != '~') {
                step += pointer[i];
                continue;
            }
            const char next = ++i < end ? pointer[i] : '\0';
            if (next != '0' && next != '1') return std::nullopt;
            step += next == '0' ? '~' : '/';
        }
        steps.push_back(std::move(step));
        pointer.remove_prefix(end);
    }
    return steps;
}

std::optional<std::size_t> index_of(std::string_view step) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (step.empty() || error != std::errc() || end != step.data() + step.size()) return std::nullopt;
    return index;
}

std::optional<std::string_view> below(std::string_view value, const Steps& steps) {
    for (const std::string& step : steps) {
        if (is_object(value)) {
            const auto found = json_find(json_members(value), step);
            if (!found) return std::nullopt;
            value = *found;
        } else if (is_array(value)) {
            const auto index = index_of(step);
            if (!index || *index >= mapped_matches_max) return std::nullopt;
            const auto items = json_items(value, *index);
            if (*index >= items.size()) return std::nullopt;
            value = items[*index];
        } else {
            return std::nullopt;
        }
    }
    return value;
}

// A value in its place.
struct Place {
    std::string_view here, item, root;
    const Keys* keys = nullptr;
    UtcTime received;
};

std::optional<std::string_view> slice_at(const Place& place, const MappingSource& source) {
    using Kind = MappingSource::Kind;
    std::optional<std::string_view> found;
    if (source.kind == Kind::here) found = below(place.here, source.steps);
    if (source.kind == Kind::item) found = below(place.item, source.steps);
    if (source.kind == Kind::root) found = below(place.root, source.steps);
    if (found && *found == "null") return std::nullopt;
    return found;
}

// What a text, a number, true or false says.
std::optional<std::string> text_at(const Place& place, const MappingSource& source) {
    using Kind = MappingSource::Kind;
    if (source.kind == Kind::constant) return source.text;
    if (source.kind == Kind::received) return to_rfc3339(place.received);
    if (source.kind == Kind::key)
        return place.keys != nullptr && source.key < place.keys->size()
                   ? std::optional((*place.keys)[source.key])
                   : std::nullopt;
    const auto slice = slice_at(place, source);
    if (!slice || is_object(*slice) || is_array(*slice)) return std::nullopt;
    return is_string(*slice) ? json_unescape(*slice) : std::string(*slice);
}

std::optional<std::string> first_text(const Place& place, const MappingSources& sources) {
    for (const MappingSource& source : sources)
        if (auto text = text_at(place, source); text && !text->empty()) return text;
    return std::nullopt;
}

// The value as JSON: what stands there, byte for byte.
std::optional<std::string> json_at(const Place& place, const MappingSource& source) {
    if (const auto slice = slice_at(place, source)) return std::string(*slice);
    const auto text = text_at(place, source);
    if (!text) return std::nullopt;
    return json_string(*text);
}

bool holds(const Place& place, const MappingWhen& when) {
    for (const auto& [source, wanted] : when.equals)
        if (text_at(place, source) != wanted) return false;
    const auto there = [&](const MappingSource& source) {
        return slice_at(place, source).has_value() || text_at(place, source).has_value();
    };
    return std::all_of(when.has.begin(), when.has.end(), there) &&
           std::none_of(when.lacks.begin(), when.lacks.end(), there);
}

struct Match {
    std::string_view value;
    Keys keys;
};

// Adds what `steps` from `at` on lead to; false: more than `max`.
bool find_matches(std::string_view value, const Steps& steps, std::size_t at, Keys& keys, std::size_t max,
                  std::vector<Match>& out) {
    if (at == steps.size()) {
        if (out.size() == max) return false;
        out.push_back({value, keys});
        return true;
    }
    if (steps[at] != every) {
        const auto next = below(value, {steps[at]});
        return !next || find_matches(*next, steps, at + 1, keys, max, out);
    }
    const auto into = [&](std::string key, std::string_view next) {
        keys.push_back(std::move(key));
        const bool more = find_matches(next, steps, at + 1, keys, max, out);
        keys.pop_back();
        return more;
    };
    if (is_object(value)) {
        for (const JsonMember& member : json_members(value))
            if (!into(json_unescape(member.key), member.value)) return false;
    } else if (is_array(value)) {
        std::size_t index = 0;
        for (const std::string_view item : json_items(value, max))
            if (!into(std::to_string(index++), item)) return false;
    }
    return true;
}

// Empty: too many.
std::optional<std::vector<Match>> matches(std::string_view value, const Steps& steps, std::size_t max) {
    std::vector<Match> found;
    Keys keys;
    if (!find_matches(value, steps, 0, keys, max, found)) return std::nullopt;
    return found;
}

const std::string* word_for(const MappingWords& words, std::string_view name) {
    for (const auto& [from, to] : words)
        if (from == name) return &to;
    return nullptr;
}

std::optional<UtcTime> time_of(const std::string& text, bool seconds) {
    if (auto time = parse_rfc3339(text)) return time;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::int64_t most = 253'402'300'799'999 / (seconds ? 1000 : 1);  // the year 9999
    if (error != std::errc() || end != text.data() + text.size() || number < 0 || number > most)
        return std::nullopt;
    return UtcTime{seconds ? number * 1000 : number};
}

// One item on its way into a line. The first problem stays.
class Writing {
  public:
    Writing(const MappingRule& rule, const Place& place) : rule_(rule), place_(place) {}

    MappedItem result() {
        line_ = "{\"op\":" + json_string(rule_.op);
        add_id();
        if (rule_.op == "merge") {
            add_from();
        } else {
            add_times();
            add_aliases();
        }
        if (rule_.op == "put" || rule_.op == "patch") {
            if (rule_.op == "patch") line_ += ",\"create\":true";
            add_traits();
            add_segments();
            add_consents();
        }
        if (!problem_.empty()) return {{}, std::move(problem_)};
        return {line_ + '}', {}};
    }

  private:
    void wrong(std::string_view what, std::string_view why) {
        if (!problem_.empty()) return;
        problem_ = "rule " + rule_.name + ", ";
        problem_.append(what).append(": ").append(why);
    }

    void add_id() {
        bool others = false;
        for (const MappingId& one : rule_.id) {
            const auto text = text_at(place_, one.source);
            if (!text || text->empty()) continue;
            // A URL is none, and the next one may be. Another text with these signs is refused with its line:
            // to take the next one then would make one customer of several.
            if (one.scheme.empty() && text->find("://") != std::string::npos) {
                others = true;
                continue;
            }
            line_ += one.scheme.empty() ? ",\"id\":" : ",\"id_of\":";
            line_ += json_string(one.scheme.empty() ? *text : one.scheme + ':' + *text);
            return;
        }
        wrong("id", others ? "there is none but a URL" : "there is none");
    }

    template <class Do>
    void for_each(std::string_view what, const Steps& each, Do action) {
        const auto found = matches(place_.item, each, mapped_matches_max);
        if (!found) return wrong(what, "more than " + std::to_string(mapped_matches_max));
        for (const Match& match : *found) {
            Place place = place_;
            place.here = match.value;
            place.keys = &match.keys;
            if (match.value != "null") action(place);
        }
    }

    bool there(Steps each) const {
        while (!each.empty() && each.back() == every) each.pop_back();
        const auto found = below(place_.item, each);
        return found && *found != "null";
    }

    void add_from() {
        std::vector<std::string> ids;
        for_each("from", rule_.from, [&](const Place& place) {
            auto id = text_at(place, {});
            if (!id) return wrong("from", "not a text");
            ids.push_back(json_string(*id));
        });
        if (ids.empty()) wrong("from", "there is none");
        add_list("from", ids);
    }

    // Without a version of the platform's own its clock is the version.
    void add_times() {
        const auto updated = first_text(place_, rule_.updated);
        std::optional<UtcTime> time;
        if (updated) {
            time = time_of(*updated, rule_.seconds);
            if (!time) wrong("updated", "not a time");
        }
        std::string version;
        if (const auto given = first_text(place_, rule_.version)) {
            std::uint64_t number = 0;
            const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), number);
            if (error != std::errc() || end != given->data() + given->size() || number > version_max)
                wrong("version", "not a whole number from 0 to 9007199254740991");
            version = *given;
        } else if (time) {
            version = std::to_string(time->ms);
        } else if (rule_.op != "delete") {
            wrong("updated", "there is neither a version nor a time");
        }
        if (!version.empty()) line_ += ",\"version\":" + version;
        // Whoever is to be forgotten is, also when the clock of an earlier message was ahead.
        if (rule_.op == "delete" && rule_.version.empty() && time) line_ += ",\"whatever_is_held\":true";
        if (time && rule_.op != "delete") line_ += ",\"updated\":" + json_string(to_rfc3339(*time));
    }

    void add_aliases() {
        std::vector<std::string> aliases;
        for (const MappingAlias& rule : rule_.aliases)
            for_each("alias", rule.each, [&](const Place& place) {
                const auto value = text_at(place, rule.value);
                auto scheme = text_at(place, rule.scheme);
                if (!scheme) return wrong("alias", "without a scheme");
                if (!rule.schemes.empty()) {
                    const std::string* word = word_for(rule.schemes, *scheme);
                    if (word == nullptr) return;
                    scheme = *word;
                }
                if (!value || value->empty()) return wrong("alias", "without a value");
                std::string alias = json_string(*scheme + ':' + *value);
                if (std::find(aliases.begin(), aliases.end(), alias) == aliases.end())
                    aliases.push_back(std::move(alias));
            });
        if (rule_.aliases.empty()) return;
        // A put says all of them; a patch only those that its message names.
        add_list(rule_.op == "patch" ? "add_aliases" : "aliases", aliases);
    }

    void add_traits() {
        std::vector<std::pair<std::string, std::string>> traits;  // unescaped name, value
        const auto add = [&](const std::string& name, std::string value) {
            const auto same = [&](const auto& one) { return one.first == name; };
            if (std::none_of(traits.begin(), traits.end(), same)) traits.emplace_back(name, std::move(value));
        };
        for (const auto& [name, source] : rule_.set)
            if (auto value = json_at(place_, source)) add(name, std::move(*value));
        for (const MappingTrait& rule : rule_.traits)
            for_each("trait", rule.each, [&](const Place& place) {
                if (!is_object(place.here)) return wrong("trait", "not an object");
                for (const JsonMember& member : json_members(place.here)) {
                    const std::string name = json_unescape(member.key);
                    if (std::find(rule.except.begin(), rule.except.end(), name) != rule.except.end())
                        continue;
                    const std::string* other = word_for(rule.rename, name);
                    add(other != nullptr ? *other : name, std::string(member.value));
                }
            });
        if (rule_.set.empty() && rule_.traits.empty()) return;
        add_object("traits", traits);
    }

    void add_segments() {
        std::vector<std::string> names;
        for (const MappingSegment& rule : rule_.segments)
            for_each("segment", rule.each, [&](const Place& place) {
                if (!holds(place, rule.when)) return;
                const auto name = text_at(place, rule.name);
                if (!name) return wrong("segment", "without a name");
                std::string text = json_string(*name);
                if (std::find(names.begin(), names.end(), text) == names.end())
                    names.push_back(std::move(text));
            });
        // A patch says nothing of what its document does not speak of.
        const bool spoken_of = rule_.op == "put"
                                   ? !rule_.segments.empty()
                                   : std::any_of(rule_.segments.begin(), rule_.segments.end(),
                                                 [&](const auto& one) { return there(one.each); });
        if (spoken_of) add_list("segments", names);
    }

    void add_consents() {
        std::vector<std::pair<std::string, std::string>> consents;
        const auto granted = [](std::string_view consent) {
            return consent.starts_with("{\"state\":\"granted\"");
        };
        for (const MappingConsent& rule : rule_.consents)
            for_each("consent", rule.each, [&](const Place& place) {
                auto purpose = text_at(place, rule.purpose);
                if (!purpose || purpose->empty()) return wrong("consent", "without a purpose");
                const auto said = text_at(place, rule.state);
                if (!said) return wrong("consent", "without a state");
                const std::string* state = word_for(rule.states, *said);
                if (state == nullptr) return wrong("consent", "a state that 'states' does not name");
                if (*state == "unknown") return;
                if (const std::string* other = word_for(rule.purposes, *purpose)) purpose = *other;
                std::string consent = "{\"state\":" + json_string(*state);
                add_time(consent, "since", place, rule.since);
                add_time(consent, "until", place, rule.until);
                consent += '}';
                const auto before = std::find_if(consents.begin(), consents.end(),
                                                 [&](const auto& one) { return one.first == *purpose; });
                if (before == consents.end())
                    consents.emplace_back(*purpose, std::move(consent));
                else if (granted(before->second) && !granted(consent))
                    before->second = std::move(consent);  // who said no to a part of it was not heard else
            });
        if (!rule_.consents.empty()) add_object("consents", consents);
    }
    void add_time(std::string& out, std::string_view name, const Place& place,
                  const MappingSources& sources) {
        const auto text = first_text(place, sources);
        // Of what a patch is laid over nothing of the same consent may stay.
        if (!text && rule_.op == "patch") out.append(",\"").append(name).append("\":null");
        if (!text) return;
        const auto time = time_of(*text, rule_.seconds);
        if (!time) return wrong("consent", "'" + std::string(name) + "' is not a time");
        out.append(",\"").append(name).append("\":").append(json_string(to_rfc3339(*time)));
    }

    void add_list(std::string_view name, const std::vector<std::string>& values) {
        line_.append(",\"").append(name).append("\":[");
        for (const std::string& value : values) {
            if (line_.back() != '[') line_ += ',';
            line_ += value;
        }
        line_ += ']';
    }
    void add_object(std::string_view name, const std::vector<std::pair<std::string, std::string>>& members) {
        line_.append(",\"").append(name).append("\":{");
        for (const auto& [key, value] : members) {
            if (line_.back() != '{') line_ += ',';
            append_json_string(line_, key);
            line_ += ':';
            line_ += value;
        }
        line_ += '}';
    }

    const MappingRule& rule_;
    const Place place_;
    std::string line_;
    std::string problem_;
};

std::optional<std::vector<Match>> items_of(const ProfileMapping& mapping, std::string_view document) {
    for (const Steps& each : mapping.each) {
        auto found = matches(document, each, mapped_items_max);
        if (!found || !found->empty()) return found;
    }
    return std::vector<Match>{{document, {}}};
}

// A newline is space in JSON, but ends a line here.
std::string one_line(std::string line) {
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return line;
}

}  // namespace

std::optional<MappingSource> mapping_source(std::string_view text) {
    using Kind = MappingSource::Kind;
    const auto from = [](Kind kind, std::string_view pointer) -> std::optional<MappingSource> {
        auto steps = steps_of(pointer);
        if (!steps) return std::nullopt;
        return MappingSource{kind, std::move(*steps), 0, {}};
    };
    if (text.empty() || text.front() == '/') return from(Kind::here, text);
    if (text.front() != '$') return MappingSource{Kind::constant, {}, 0, std::string(text)};
    if (text == "$received") return MappingSource{Kind::received, {}, 0, {}};
    if (text.starts_with("$item")) return from(Kind::item, text.substr(5));
    if (text.starts_with("$root")) return from(Kind::root, text.substr(5));
    const auto number = index_of(text.substr(1));
    if (!number || *number == 0 || *number > steps_max) return std::nullopt;
    return MappingSource{Kind::key, {}, *number - 1, {}};
}

std::optional<MappingId> mapping_id(std::string_view text) {
    const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
    const std::size_t colon = text.find(':');
    const std::string_view scheme = text.substr(0, colon);
    const bool alias = colon != std::string_view::npos && !scheme.empty() && scheme.size() <= 32 &&
                       letter(scheme[0]) && std::all_of(scheme.begin(), scheme.end(), [&](char c) {
                           return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
                       });
    auto source = mapping_source(alias ? text.substr(colon + 1) : text);
    // One id for all is none.
    if (!source || source->kind == MappingSource::Kind::constant) return std::nullopt;
    return MappingId{std::move(*source), std::string(alias ? scheme : std::string_view())};
}

std::optional<std::vector<std::string>> mapping_pattern(std::string_view text) { return steps_of(text); }

std::vector<MappedItem> map_profiles(const ProfileMapping& mapping, std::string_view document,
                                     UtcTime received) {
    if (const auto fault = validate_json(document)) return {{{}, "not a document: " + fault->text}};
    document = json_trim(document);
    const auto items = items_of(mapping, document);
    if (!items) return {{{}, "more than " + std::to_string(mapped_items_max) + " items"}};
    std::vector<MappedItem> out;
    for (const Match& item : *items) {
        const Place place{item.value, item.value, document, &item.keys, received};
        const auto rule = std::find_if(mapping.rules.begin(), mapping.rules.end(),
                                       [&](const MappingRule& one) { return holds(place, one.when); });
        out.emplace_back();
        if (rule == mapping.rules.end()) continue;
        out.back() = Writing(*rule, place).result();
        out.back().line = one_line(std::move(out.back().line));
    }
    return out;
}

}  // namespace touchpoint::uplink
