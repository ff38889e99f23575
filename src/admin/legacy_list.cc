#include "admin/legacy_list.h"

#include <algorithm>
#include <charconv>

#include "admin/paging.h"

namespace gateway::admin {
namespace {

constexpr std::size_t max_page = 1000;

}  // namespace

std::optional<http::Reply> LegacyList::read(const Call& call, const std::function<bool(const std::string&)>& is_field) {
  for (const auto& [name, value] : call.query) {
    if (name == "size") {
      std::from_chars(value.data(), value.data() + value.size(), size_);
      size_ = std::clamp<std::size_t>(size_, 1, max_page);
    } else if (name == "offset") {
      std::string why;
      after_ = read_offset(value, why);
      if (!after_) return message(400, "Invalid offset");
    } else if (is_field(name)) {
      filters_[name] = value;
    } else {
      return json_reply(400, {{name, "unknown field"}});
    }
  }
  return std::nullopt;
}

void LegacyList::offer(const Uuid& id, Json shown) {
  const bool wanted = std::all_of(filters_.items().begin(), filters_.items().end(), [&](const auto& filter) {
    const auto value = shown.find(filter.key());
    if (value == shown.end()) return false;
    return (value->is_string() ? *value : Json(write_json(*value))) == filter.value();
  });
  if (!wanted) return;
  ++total_;
  if (after_ && id <= *after_) return;
  if (data_.size() == size_) {
    more_ = true;
    return;
  }
  data_.push_back(std::move(shown));
  last_ = id;
}

http::Reply LegacyList::reply(const Call& call, std::string_view path) {
  Json body = {{"data", std::move(data_)}, {"total", total_}};
  if (more_) {
    const std::string offset = write_offset(*last_);
    std::string next = "http://" + call.host + std::string(path) + "?offset=" + percent_encoded(offset) + "&size=" + std::to_string(size_);
    for (const auto& [name, value] : filters_.items()) next += "&" + percent_encoded(name) + "=" + percent_encoded(value.get<std::string>());
    body["offset"] = offset;
    body["next"] = next;
  }
  return json_reply(200, body);
}

}  // namespace gateway::admin
