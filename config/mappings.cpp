#include "config/mappings.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "config/rules.hpp"
#include "config/section.hpp"

namespace touchpoint::config {
namespace {

using uplink::MappingSource;
using uplink::MappingSources;
using uplink::MappingWords;

std::string source_rule(const std::string& text) {
    return uplink::mapping_source(text) ? ""
                                        : "a pointer such as \"/traits/email\", \"$item/..\", \"$root/..\", "
                                          "\"$1\", \"$received\", or a text of its own";
}
std::string id_rule(const std::string& text) {
    return uplink::mapping_id(text)
               ? ""
               : "a pointer such as \"/userId\", or \"email:/traits/email\" for an id that is "
                 "made of an alias";
}
std::string pattern_rule(const std::string& text) {
    return uplink::mapping_pattern(text) ? "" : "a pointer such as \"/batch/*\", at most 16 steps";
}
std::string any_rule(const std::string&) { return ""; }
std::string state_rule(const std::string& text) {
    constexpr std::array<const char*, 4> states = {"granted", "denied", "revoked", "unknown"};
    return std::find(states.begin(), states.end(), text) != states.end()
               ? ""
               : R"("granted", "denied", "revoked" or "unknown")";
}
std::string scheme_rule(const std::string& text) {
    const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
    return !text.empty() && text.size() <= 32 && letter(text[0]) &&
                   std::all_of(text.begin(), text.end(), fits)
               ? ""
               : "1 to 32 of a-z, 0-9, _ and -, beginning with a letter";
}

MappingSource source(Section& section, const std::string& key, std::string otherwise) {
    section.text(key, otherwise, source_rule);
    return uplink::mapping_source(otherwise).value_or(MappingSource{});
}
MappingSources sources(Section& section, const std::string& key) {
    std::vector<std::string> texts;
    section.texts(key, texts, source_rule);
    MappingSources out;
    for (const std::string& text : texts)
        out.push_back(uplink::mapping_source(text).value_or(MappingSource{}));
    return out;
}
std::vector<std::string> pattern(Section& section, const std::string& key, bool needed = true) {
    std::string text;
    if (needed)
        section.required_text(key, text, pattern_rule);
    else
        section.text(key, text, pattern_rule);
    return uplink::mapping_pattern(text).value_or(std::vector<std::string>{});
}

void read_when(Section& section, uplink::MappingWhen& out) {
    MappingWords equals;
    section.pairs("when", equals, source_rule, any_rule);
    for (auto& [from, wanted] : equals)
        out.equals.emplace_back(uplink::mapping_source(from).value_or(MappingSource{}), std::move(wanted));
    out.has = sources(section, "has");
    out.lacks = sources(section, "lacks");
}

uplink::MappingAlias read_alias(Section section) {
    uplink::MappingAlias out;
    out.each = pattern(section, "each");
    out.value = source(section, "value", "");
    if (!section.has("scheme")) section.complain("scheme", "rule.alias.scheme is missing");
    out.scheme = source(section, "scheme", "");
    section.pairs("schemes", out.schemes, any_rule, scheme_rule);
    section.finish();
    return out;
}
uplink::MappingTrait read_trait(Section section) {
    uplink::MappingTrait out;
    out.each = pattern(section, "each");
    section.texts("except", out.except, any_rule);
    section.pairs("rename", out.rename, any_rule, printable_rule);
    section.finish();
    return out;
}
uplink::MappingSegment read_segment(Section section) {
    uplink::MappingSegment out;
    out.each = pattern(section, "each");
    read_when(section, out.when);
    out.name = source(section, "name", "");
    section.finish();
    return out;
}
uplink::MappingConsent read_consent(Section section) {
    uplink::MappingConsent out;
    out.each = pattern(section, "each");
    out.purpose = source(section, "purpose", "$1");
    out.state = source(section, "state", "");
    out.since = sources(section, "since");
    out.until = sources(section, "until");
    section.pairs("purposes", out.purposes, any_rule, printable_rule);
    section.pairs("states", out.states, any_rule, state_rule);
    if (out.states.empty())
        section.complain("states",
                         "rule.consent.states is missing: which of the platform's words are granted, denied, "
                         "revoked, unknown");
    section.finish();
    return out;
}

template <class Part>
void read_parts(Section& rule, Reading& reading, const std::string& key, std::vector<Part>& out,
                Part (*read)(Section)) {
    for (const Node* table : rule.tables(key)) {
        if (out.size() == mapping_rules_max)
            return rule.complain(key, "rule." + key + ": at most " + std::to_string(mapping_rules_max));
        out.push_back(read(Section(reading, table, "rule." + key)));
    }
}

uplink::MappingRule read_rule(Section section, Reading& reading) {
    uplink::MappingRule out;
    section.required_text("name", out.name, name_rule);
    read_when(section, out.when);
    constexpr std::array<const char*, 4> ops = {"put", "patch", "delete", "merge"};
    std::size_t op = 0;
    section.choice<std::size_t>("op", op, {{ops[0], 0}, {ops[1], 1}, {ops[2], 2}, {ops[3], 3}});
    out.op = ops[op];
    std::vector<std::string> ids;
    section.texts("id", ids, id_rule);
    for (const std::string& text : ids)
        out.id.push_back(uplink::mapping_id(text).value_or(uplink::MappingId{}));
    if (out.id.empty()) section.complain("id", "rule.id is missing; it must be a list of pointers");
    out.version = sources(section, "version");
    out.updated = sources(section, "updated");
    section.choice("numbers", out.seconds, {{"unix_ms", false}, {"unix_s", true}});
    out.from = pattern(section, "from", false);
    if (section.has("from") != (out.op == "merge"))
        section.complain("from", "rule.from is for op = \"merge\", and must be there then");
    if (out.version.empty() && out.updated.empty() && (out.op == "put" || out.op == "patch"))
        section.complain("updated", "rule.updated or rule.version must be there: which of two is newer?");
    MappingWords set;
    section.pairs("set", set, printable_rule, source_rule);
    for (auto& [name, from] : set)
        out.set.emplace_back(name, uplink::mapping_source(from).value_or(MappingSource{}));
    read_parts(section, reading, "trait", out.traits, read_trait);
    read_parts(section, reading, "alias", out.aliases, read_alias);
    read_parts(section, reading, "segment", out.segments, read_segment);
    read_parts(section, reading, "consent", out.consents, read_consent);
    section.finish();
    return out;
}

uplink::ProfileMapping read_mapping(const Node& document, std::string name, Reading& reading) {
    uplink::ProfileMapping out;
    out.name = std::move(name);
    Section section(reading, &document, "");
    std::vector<std::string> each;
    section.texts("each", each, pattern_rule);
    for (const std::string& text : each)
        out.each.push_back(uplink::mapping_pattern(text).value_or(std::vector<std::string>{}));
    const auto rules = section.tables("rule");
    if (rules.empty() || rules.size() > mapping_rules_max)
        section.complain("rule", "there must be 1 to " + std::to_string(mapping_rules_max) +
                                     " rules, each written [[rule]]");
    else
        for (const Node* rule : rules)
            out.rules.push_back(read_rule(Section(reading, rule, "rule"), reading));
    section.finish();
    return out;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder,
                                            std::vector<Problem>& problems) {
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator(folder, error);
         !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
        if (entry->path().extension() == ".toml" && entry->path().filename().string().front() != '.')
            files.push_back(entry->path());
    std::sort(files.begin(), files.end());
    const auto complain = [&](std::string text) {
        problems.push_back(
            {{std::make_shared<const std::string>(folder.string()), 0, 0}, std::move(text), true});
    };
    if (error) complain("this folder of mapping files cannot be read: " + error.message());
    if (files.size() > mappings_max) {
        complain("more than " + std::to_string(mappings_max) + " mapping files");
        files.resize(mappings_max);
    }
    return files;
}

}  // namespace

std::vector<uplink::ProfileMapping> read_mappings(const std::filesystem::path& folder,
                                                  std::vector<Problem>& problems) {
    std::vector<uplink::ProfileMapping> out;
    for (const std::filesystem::path& file : files_in(folder, problems)) {
        const std::size_t before = problems.size();
        const Node document = read_document(file, problems);
        std::string name = file.stem().string();
        if (const std::string right = name_rule(name); !right.empty())
            problems.push_back(
                {document.where, "a mapping file's name must be " + right + ", and .toml", true});
        if (problems.size() != before) continue;
        Reading reading{problems, {}};
        auto mapping = read_mapping(document, std::move(name), reading);
        if (problems.size() == before) out.push_back(std::move(mapping));
    }
    return out;
}

}  // namespace touchpoint::config
