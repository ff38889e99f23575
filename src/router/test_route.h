#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "entity/route.h"

namespace gateway::router {

/// For tests: a route given by the fields that matter, the others as they are by default.
struct Spec {
  Uuid id{};
  std::int64_t created_at = 0;
  entity::Protocols protocols = entity::bit(entity::Protocol::http) | entity::bit(entity::Protocol::https);
  std::vector<std::string> hosts{};
  std::vector<std::string> paths{};
  std::vector<std::string> methods{};
  std::vector<std::pair<std::string, std::vector<std::string>>> headers{};
  std::vector<std::string> snis{};
  std::int64_t regex_priority = 0;
  bool strip_path = true;
  entity::PathHandling path_handling = entity::PathHandling::v0;

  [[nodiscard]] entity::Route route() const {
    entity::Route route;
    route.id = id;
    route.created_at = created_at;
    route.protocols = protocols;
    route.hosts = hosts;
    route.paths = paths;
    route.methods = methods;
    route.headers = headers;
    route.snis = snis;
    route.regex_priority = regex_priority;
    route.strip_path = strip_path;
    route.path_handling = path_handling;
    return route;
  }
};

}  // namespace gateway::router
