#include "base/json.h"

template class nlohmann::basic_json<>;
template class std::vector<gateway::Json>;
template class std::map<std::string, gateway::Json, std::less<>>;

namespace gateway {

Json parse_json(std::string_view text) { return Json::parse(text, nullptr, false); }

Json parse_json(std::string_view text, int depth) {
  bool too_deep = false;
  const auto shallow = [&](int around, Json::parse_event_t event, Json& /*value*/) {
    const bool begins = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    too_deep |= begins && around >= depth;
    return !too_deep;
  };
  Json document = Json::parse(text, shallow, false);
  if (too_deep) return Json(Json::value_t::discarded);
  return document;
}

std::string write_json(const Json& document) { return document.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace gateway
