// gateway/core/json_slice.hpp under the names that this folder and those to its left know it by.
//
// Threads: as there.
#pragma once

#include "gateway/core/json_slice.hpp"

namespace touchpoint::devices {

using touchpoint::is_array;
using touchpoint::is_number;
using touchpoint::is_object;
using touchpoint::is_string;
using touchpoint::json_depth_max;
using touchpoint::json_find;
using touchpoint::json_items;
using touchpoint::json_members;
using touchpoint::json_trim;
using touchpoint::json_unescape;
using touchpoint::JsonFault;
using touchpoint::JsonMember;
using touchpoint::valid_utf8;
using touchpoint::validate_json;

}  // namespace touchpoint::devices
