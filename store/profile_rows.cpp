#include "store/profile_rows.hpp"

#include "gateway/core/assert.hpp"
#include "store/bytes.hpp"

namespace touchpoint::store {
namespace {

// 1: no via and no documents of those merged in, tombstones without aliases. 2: without the times at which a
// version, and its consents, came for the first time. 3: without what those merged in refused.
constexpr std::uint8_t format = 4;

std::string head_bytes(const ProfileHead& head) {
    std::string out;
    append_little(out, format);
    append_little(out, static_cast<std::uint8_t>(head.kind));
    append_little(out, head.version);
    append_little(out, static_cast<std::uint64_t>(head.updated.ms));
    append_little(out, static_cast<std::uint64_t>(head.received.ms));
    TP_ASSERT(out.size() == profile_head_bytes);
    return out;
}

// A row that was copied to another key, or whose head was changed, does not open.
std::string context_of(std::string_view key, std::string_view head) {
    return "profile" + std::string(key) + std::string(head);
}

std::string sealed_row(const SealedBox& box, std::string_view key, const ProfileHead& head,
                       std::string_view plain) {
    std::string row = head_bytes(head);
    const std::string sealed = box.seal(plain, context_of(key, row));
    return row += sealed;
}

std::optional<std::string> opened(const SealedBox& box, std::string_view key, std::string_view row,
                                  ProfileKind kind) {
    const auto head = read_profile_head(row);
    if (!head || head->kind != kind) return std::nullopt;
    auto plain = box.open(row.substr(profile_head_bytes), context_of(key, row.substr(0, profile_head_bytes)));
    if (!plain) return std::nullopt;
    return std::move(*plain);
}

void append_aliases(std::string& out, const std::vector<Alias>& aliases) {
    append_little(out, static_cast<std::uint32_t>(aliases.size()));
    for (const Alias& alias : aliases) {
        append_text(out, alias.key);
        append_text(out, alias.text);
    }
}

std::vector<Alias> read_aliases(ByteReader& in) {
    std::vector<Alias> aliases;
    for (auto count = in.little<std::uint32_t>(); count > 0 && in.ok(); --count) {
        const std::string_view key = in.text();
        const std::string_view text = in.text();
        aliases.push_back({std::string(key), std::string(text)});
    }
    return aliases;
}

void append_refusals(std::string& out, const std::vector<Refusal>& refusals) {
    append_little(out, static_cast<std::uint8_t>(refusals.size()));
    for (const Refusal& one : refusals) {
        append_little(out, one.purpose);
        append_little(out, static_cast<std::uint8_t>(one.state));
        append_little(out, static_cast<std::uint64_t>(one.since.ms));
    }
}

std::vector<Refusal> read_refusals(ByteReader& in) {
    std::vector<Refusal> refusals;
    for (auto count = in.little<std::uint8_t>(); count > 0 && in.ok(); --count) {
        Refusal one;
        one.purpose = in.little<std::uint8_t>();
        one.state = static_cast<ConsentState>(in.little<std::uint8_t>());
        one.since.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
        if (one.purpose < purpose_names.size()) refusals.push_back(one);
    }
    return refusals;
}

}  // namespace

std::string live_row(const SealedBox& box, std::string_view key, const ProfileHead& head,
                     const ProfileBody& body) {
    TP_ASSERT(head.kind == ProfileKind::live);
    std::string plain;
    append_text(plain, body.id);
    append_aliases(plain, body.aliases);
    append_little(plain, static_cast<std::uint32_t>(body.merged_in.size()));
    for (const MergedIn& one : body.merged_in) {
        append_text(plain, one.id);
        append_little(plain, one.version);
        append_aliases(plain, one.aliases);
        append_text(plain, one.via);
        append_text(plain, one.json);
        append_refusals(plain, one.refusals);
        append_little(plain, static_cast<std::uint64_t>(one.consents_came.ms));
        append_little(plain, static_cast<std::uint32_t>(one.answers.size()));
        for (const MergedIn::Answer& answer : one.answers) {
            append_text(plain, answer.by);
            append_little(plain, answer.purposes);
        }
    }
    append_text(plain, body.json);
    append_little(plain, static_cast<std::uint64_t>(body.came.ms));
    append_little(plain, static_cast<std::uint64_t>(body.consents_came.ms));
    append_refusals(plain, body.refusals);
    return sealed_row(box, key, head, plain);
}

std::string merged_row(const SealedBox& box, std::string_view key, const ProfileHead& head,
                       std::string_view survivor) {
    TP_ASSERT(head.kind == ProfileKind::merged);
    return sealed_row(box, key, head, survivor);
}

std::string erased_row(const ProfileHead& head, const std::vector<std::string>& alias_keys) {
    TP_ASSERT(head.kind == ProfileKind::erased && alias_keys.size() <= tombstone_aliases_max);
    std::string row = head_bytes(head);
    append_little(row, static_cast<std::uint32_t>(alias_keys.size()));
    for (const std::string& key : alias_keys) append_text(row, key);
    return row;
}

std::string left_row(const ProfileHead& head) {
    TP_ASSERT(head.kind == ProfileKind::left);
    return head_bytes(head);
}

std::optional<ProfileHead> read_profile_head(std::string_view row) {
    ByteReader in(row);
    const auto version = in.little<std::uint8_t>();
    const auto kind = in.little<std::uint8_t>();
    ProfileHead head;
    head.version = in.little<std::uint64_t>();
    head.updated.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    head.received.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    if (!in.ok() || version < 1 || version > format || kind < 1 || kind > 4) return std::nullopt;
    head.kind = static_cast<ProfileKind>(kind);
    return head;
}

std::optional<ProfileBody> open_live_row(const SealedBox& box, std::string_view key, std::string_view row) {
    const auto plain = opened(box, key, row, ProfileKind::live);
    if (!plain) return std::nullopt;
    const auto written = static_cast<std::uint8_t>(row.front());
    const bool first_format = written == 1;
    ByteReader in(*plain);
    ProfileBody body;
    body.id = in.text();
    body.aliases = read_aliases(in);
    for (auto count = in.little<std::uint32_t>(); count > 0 && in.ok(); --count) {
        MergedIn one;
        one.id = in.text();
        one.version = in.little<std::uint64_t>();
        one.aliases = read_aliases(in);
        one.via = first_format ? std::string_view(body.id) : in.text();
        if (!first_format) one.json = in.text();
        if (written >= 4) {
            one.refusals = read_refusals(in);
            one.consents_came.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
            for (auto left = in.little<std::uint32_t>(); left > 0 && in.ok(); --left) {
                MergedIn::Answer& answer = one.answers.emplace_back();
                answer.by = in.text();
                answer.purposes = in.little<std::uint8_t>();
            }
        }
        body.merged_in.push_back(std::move(one));
    }
    body.json = in.text();
    body.came = body.consents_came = read_profile_head(row)->received;
    if (written >= 3) {
        body.came.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
        body.consents_came.ms = static_cast<std::int64_t>(in.little<std::uint64_t>());
    }
    if (written >= 4) body.refusals = read_refusals(in);
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return body;
}

std::optional<std::string> open_merged_row(const SealedBox& box, std::string_view key, std::string_view row) {
    return opened(box, key, row, ProfileKind::merged);
}

std::vector<std::string> read_erased_aliases(std::string_view row) {
    std::vector<std::string> keys;
    if (row.size() <= profile_head_bytes) return keys;  // format 1
    ByteReader in(row.substr(profile_head_bytes));
    for (auto count = in.little<std::uint32_t>(); count > 0 && keys.size() < tombstone_aliases_max; --count) {
        const std::string_view key = in.text();
        if (!in.ok()) break;
        keys.emplace_back(key);
    }
    return keys;
}

}  // namespace touchpoint::store
