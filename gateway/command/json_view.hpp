// Reads the daemon's answers. A daemon of another version may leave a member out: then a person reads 0 or
// nothing, not a crash.
//
// Threads: plain values; a View ends with the value that it looks at.
#pragma once

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace touchpoint::command {

class View {
  public:
    explicit View(const boost::json::value* value) : value_(value) {}
    View operator[](std::string_view key) const {
        const boost::json::object* object = value_ == nullptr ? nullptr : value_->if_object();
        return View(object == nullptr ? nullptr : object->if_contains({key.data(), key.size()}));
    }
    bool there() const { return value_ != nullptr && !value_->is_null(); }
    std::string text() const {
        const boost::json::string* text = value_ == nullptr ? nullptr : value_->if_string();
        return text == nullptr ? std::string() : std::string(text->data(), text->size());
    }
    std::uint64_t number() const {
        if (value_ == nullptr) return 0;
        if (const auto* n = value_->if_uint64()) return *n;
        if (const auto* n = value_->if_int64())
            return static_cast<std::uint64_t>(std::max<std::int64_t>(0, *n));
        return 0;
    }
    bool truth() const { return value_ != nullptr && value_->is_bool() && value_->get_bool(); }
    std::uint64_t sum() const {
        std::uint64_t total = 0;
        if (const boost::json::object* object = value_ == nullptr ? nullptr : value_->if_object())
            for (const auto& member : *object) total += View(&member.value()).number();
        return total;
    }
    const boost::json::array& items() const {
        static const boost::json::array none;
        const boost::json::array* array = value_ == nullptr ? nullptr : value_->if_array();
        return array == nullptr ? none : *array;
    }

  private:
    const boost::json::value* value_;
};

}  // namespace touchpoint::command
