// Who somebody is to the gateway: the role of its token. Routes name the roles that they serve.
//
// Threads: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace touchpoint::gateway {

// device: one till or kiosk, which sends as itself. app: a program in the shop that reads profiles.
// platform: the central platform, which pulls events and writes profiles. technician: looks after the box.
enum class Role : std::uint8_t { device, app, platform, technician };
inline constexpr std::array<Role, 4> all_roles_in_order = {Role::device, Role::app, Role::platform,
                                                           Role::technician};

constexpr std::string_view name(Role role) {
    switch (role) {
        case Role::device:
            return "device";
        case Role::app:
            return "app";
        case Role::platform:
            return "platform";
        case Role::technician:
            return "technician";
    }
    return "?";
}

constexpr std::optional<Role> role_named(std::string_view text) {
    for (const Role role : all_roles_in_order)
        if (name(role) == text) return role;
    return std::nullopt;
}

// A set of roles.
class Roles {
  public:
    constexpr Roles() = default;
    constexpr Roles(std::initializer_list<Role> roles) {
        for (const Role role : roles) bits_ |= bit(role);
    }
    static constexpr Roles all() { return {Role::device, Role::app, Role::platform, Role::technician}; }
    constexpr bool has(Role role) const { return (bits_ & bit(role)) != 0; }
    constexpr bool any_of(Roles other) const { return (bits_ & other.bits_) != 0; }
    constexpr bool empty() const { return bits_ == 0; }
    bool operator==(const Roles&) const = default;

  private:
    static constexpr unsigned bit(Role role) { return 1u << static_cast<unsigned>(role); }
    unsigned bits_ = 0;
};

// "platform or technician"; empty for none.
inline std::string words(Roles roles) {
    std::string out;
    for (const Role role : all_roles_in_order) {
        if (!roles.has(role)) continue;
        if (!out.empty()) out += " or ";
        out += name(role);
    }
    return out;
}

}  // namespace touchpoint::gateway
