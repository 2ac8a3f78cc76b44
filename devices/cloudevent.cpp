#include "devices/cloudevent.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "devices/base64.hpp"
#include "gateway/core/ascii.hpp"
#include "gateway/core/json_text.hpp"

namespace touchpoint::devices {
namespace {

// Always ours: what a device says under these names is dropped.
constexpr std::array<std::string_view, 10> ours = {"gatewayid",    "epoch",          "stream",   "sequence",
                                                   "recordedtime", "possiblerepeat", "idreused", "timesource",
                                                   "devicetime",   "sameas"};
// A gap is believed by its type: only the gateway may say that events will not come.
constexpr std::string_view gateway_types = "store.system.";
constexpr std::size_t attribute_bytes_max = 1024;
constexpr std::size_t attribute_name_max = 20;  // CloudEvents 1.0, "Naming conventions"

bool is_attribute_name(std::string_view name) {
    return !name.empty() && name.size() <= attribute_name_max &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

// The reserved key in data: one identifier of the customer, or several.
bool is_person(const JsonMember& member) {
    return (is_string(member.value) || is_array(member.value)) && member.is("customer");
}

bool json_content(std::string_view type) {
    const std::string lower = ascii_lower(json_trim(type.substr(0, type.find(';'))));
    return lower.empty() || lower == "application/json" || lower == "text/json" || lower.ends_with("+json");
}

std::optional<std::string> path_behind(std::string_view source, std::string_view own) {
    const auto behind = [&](std::string_view name) -> std::optional<std::string> {
        if (source == name) return std::string();
        if (source.size() > name.size() && source.starts_with(name) && source[name.size()] == '/')
            return std::string(source.substr(name.size()));
        return std::nullopt;
    };
    if (auto path = behind(own)) return path;
    // "/stores/s1/kiosk/k7": the short forms are its last one or two parts.
    const std::string_view device = own.substr(own.rfind('/') + 1);
    const std::string_view above = own.substr(0, own.rfind('/'));
    const std::string_view kind_device = own.substr(above.rfind('/') + 1);
    const std::string_view bare = source.starts_with('/') ? source.substr(1) : source;
    if (bare == device || bare == kind_device) return std::string();
    return std::nullopt;
}

// Collects one CloudEvent attribute by attribute; the first problem wins.
class Reader {
  public:
    explicit Reader(std::string_view own_source) : own_(own_source) {}

    void problem(Problem type, std::string detail, std::string_view member) {
        if (problem_) return;
        problem_ = Rejection{type, std::move(detail), {}, {}, {}};
        if (!member.empty()) problem_->pointer = '/' + std::string(member);
    }

    // A context attribute of type String; `text` is unescaped.
    void text(std::string_view name, std::string value) {
        if (name == "specversion") {
            version_ = true;
            if (value != "1.0") problem(Problem::bad_cloudevent, "specversion must be 1.0", name);
        } else if (name == "id") {
            if (!is_event_id(value)) {
                problem(Problem::bad_event_id, "1 to 128 bytes without control characters are allowed", name);
            } else {
                report_.id = std::move(value);
            }
        } else if (name == "source") {
            source_ = true;
            if (auto path = path_behind(value, own_); path && path->size() <= attribute_bytes_max) {
                report_.source_path = std::move(*path);
            } else {
                problem(Problem::foreign_source, "expected here: " + std::string(own_), name);
            }
        } else if (name == "type") {
            if (value.empty() || value.size() > attribute_bytes_max || has_control(value))
                problem(Problem::bad_cloudevent, "type must be a text of 1 to 1024 bytes", name);
            if (value.starts_with(gateway_types))
                problem(Problem::bad_cloudevent, "types store.system.* are the gateway's own", name);
            report_.type = std::move(value);
        } else if (name == "time") {
            report_.time = parse_rfc3339(value);
            if (!report_.time) problem(Problem::bad_event_time, "RFC 3339 is expected", name);
        } else if (name == "subject") {
            if (is_customer(value)) {
                report_.customer = std::move(value);
            } else if (value.starts_with("profile/") || value.starts_with("pseudonym/")) {
                problem(Problem::bad_cloudevent,
                        "subjects profile/.. and pseudonym/.. are the gateway's own; name the customer as "
                        "scheme:value",
                        name);
            } else {
                report_.subject = checked(name, std::move(value));
            }
        } else if (name == "customer") {
            if (!is_customer(value)) {
                problem(Problem::bad_customer,
                        "a text like card:2900000012345 is expected, at most 256 bytes", name);
            } else {
                report_.customer = std::move(value);
            }
        } else if (name == "session") {
            if (value.size() > session_bytes_max)
                problem(Problem::bad_session, "at most 128 bytes are allowed", name);
            report_.session = checked(name, std::move(value));
        } else if (name == "datacontenttype") {
            report_.datacontenttype = checked(name, std::move(value));
        } else if (name == "dataschema") {
            report_.dataschema = checked(name, std::move(value));
        } else {
            extension(name, json_string(checked(name, std::move(value))));
        }
    }

    void extension(std::string_view name, std::string json) {
        if (std::find(ours.begin(), ours.end(), name) != ours.end()) return;
        if (!is_attribute_name(name)) {
            problem(Problem::bad_cloudevent, "an attribute name is 1 to 20 lower-case letters and digits",
                    {});
        } else if (report_.extensions.size() == extensions_max) {
            problem(Problem::bad_cloudevent, "more than 32 extension attributes", {});
        } else {
            report_.extensions.emplace_back(name, std::move(json));
        }
    }

    // `value` is JSON text. The customer is a person and is taken out of data here too.
    void data(std::string_view value) {
        report_.data = value;
        if (!is_object(value)) return;
        const std::vector<JsonMember> members = json_members(value);
        const bool has = std::any_of(members.begin(), members.end(),
                                     [](const JsonMember& member) { return is_person(member); });
        if (!has) return;
        std::string rest = "{";
        for (const JsonMember& member : members) {
            if (is_person(member)) {
                auto customers = customers_in(member.value);
                if (!customers) {
                    problem(
                        Problem::bad_customer,
                        "a text like card:2900000012345 is expected, or a list of 1 to 4 of the same person",
                        "data/customer");
                } else if (report_.customer.empty()) {
                    report_.customer = std::move(customers->front());
                    report_.also.assign(customers->begin() + 1, customers->end());
                }
                continue;
            }
            if (rest.size() > 1) rest += ',';
            rest.append(member.key.data(), member.value.data() + member.value.size());
        }
        report_.data = std::move(rest) + '}';
    }

    Report& report() { return report_; }
    bool failed() const { return problem_.has_value(); }

    Item finish(std::string_view raw) {
        if (!version_ || !source_ || report_.id.empty() || report_.type.empty())
            problem(Problem::bad_cloudevent, "specversion, id, source and type are required", {});
        if (!problem_) return std::move(report_);
        problem_->id = report_.id;
        problem_->raw = raw;
        return std::move(*problem_);
    }

  private:
    std::string checked(std::string_view name, std::string value) {
        if (value.size() > attribute_bytes_max || has_control(value))
            problem(Problem::bad_cloudevent, "at most 1024 bytes without control characters are allowed",
                    is_attribute_name(name) ? name : std::string_view{});
        return value;
    }

    std::string_view own_;
    Report report_;
    std::optional<Rejection> problem_;
    bool version_ = false;
    bool source_ = false;
};

}  // namespace

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F;
    });
}

bool is_event_id(std::string_view text) {
    return !text.empty() && text.size() <= event_id_bytes_max && !has_control(text);
}

bool looks_like_cloudevent(const std::vector<JsonMember>& members) {
    constexpr std::array<std::string_view, 4> required = {"specversion", "id", "source", "type"};
    return std::all_of(required.begin(), required.end(),
                       [&](std::string_view name) { return json_find(members, name).has_value(); });
}

Item structured_cloudevent(std::string_view object, const std::vector<JsonMember>& members,
                           std::string_view own_source) {
    Reader reader(own_source);
    std::vector<std::string> names;
    std::optional<std::string_view> data;
    std::optional<std::string_view> base64;
    for (const JsonMember& member : members) {
        const std::string name = json_unescape(member.key);
        if (std::find(names.begin(), names.end(), name) != names.end()) {
            reader.problem(Problem::duplicate_key, "an attribute stands twice", {});
            continue;
        }
        names.push_back(name);
        // A CloudEvent has few attributes: the bound also keeps the search above short.
        if (names.size() > extensions_max + 16) {
            reader.problem(Problem::bad_cloudevent, "more than 32 extension attributes", {});
            break;
        }
        if (name == "data") {
            data = member.value;
        } else if (name == "data_base64") {
            base64 = member.value;
        } else if (member.value == "null") {
            continue;  // the same as not there
        } else if (is_string(member.value)) {
            reader.text(name, json_unescape(member.value));
        } else if (is_object(member.value) || is_array(member.value)) {
            reader.problem(Problem::bad_cloudevent, "an attribute is a text, a number or true/false", {});
        } else if (name == "specversion" || name == "id" || name == "source" || name == "type" ||
                   name == "time" || name == "subject" || name == "customer" || name == "session" ||
                   name == "datacontenttype" || name == "dataschema") {
            reader.problem(Problem::bad_cloudevent, "this attribute must be a text", name);
        } else if (member.value.find_first_of(".eE") != std::string_view::npos && is_number(member.value)) {
            reader.problem(Problem::bad_cloudevent, "a number in an attribute is an integer", {});
        } else {
            reader.extension(name, std::string(member.value));
        }
    }
    if (data && base64) {
        reader.problem(Problem::bad_cloudevent, "data and data_base64 exclude each other", {});
    } else if (base64) {
        const auto allowed = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
                   c == '/' || c == '=';
        };
        std::string text = is_string(*base64) ? json_unescape(*base64) : "-";
        if (text.size() % 4 != 0 || !std::all_of(text.begin(), text.end(), allowed))
            reader.problem(Problem::bad_cloudevent, "data_base64 is not base64", "data_base64");
        reader.report().data = json_string(text);
        reader.report().base64 = true;
    } else if (data) {
        reader.data(*data);
    }
    return reader.finish(object);
}

Item binary_cloudevent(const store::Incoming& message, std::string_view own_source) {
    Reader reader(own_source);
    std::vector<std::string_view> names;
    for (const auto& [name, value] : message.user_properties) {
        if (std::find(names.begin(), names.end(), name) != names.end()) {
            reader.problem(Problem::duplicate_key, "a user property stands twice", {});
            continue;
        }
        names.push_back(name);
        if (names.size() > extensions_max + 16) {
            reader.problem(Problem::bad_cloudevent, "more than 32 extension attributes", {});
            break;
        }
        reader.text(name, value);
    }
    reader.report().datacontenttype = message.content_type;
    if (message.payload.empty()) return reader.finish(message.payload);
    if (json_content(message.content_type)) {
        if (const auto fault = validate_json(message.payload)) {
            reader.problem(fault->kind == JsonFault::Kind::too_deep       ? Problem::too_deep
                           : fault->kind == JsonFault::Kind::invalid_utf8 ? Problem::invalid_utf8
                                                                          : Problem::not_json,
                           fault->text, {});
        } else {
            reader.data(json_trim(message.payload));
        }
    } else {
        reader.report().data = '"' + base64_encode(message.payload) + '"';
        reader.report().base64 = true;
    }
    return reader.finish(message.payload);
}

}  // namespace touchpoint::devices
