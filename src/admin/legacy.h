#pragma once

#include "admin/legacy_api.h"
#include "admin/legacy_ssl.h"
#include "admin/rows.h"

namespace gateway::admin {

/// `/apis` of the 0.9 and 0.10 generations, in their words, over today's services, routes and plugins.
class Legacy {
 public:
  Legacy(Context& context, Rows& rows) : context_(context), rows_(rows), ssl_(context) {}

  Task<http::Reply> list(Call& call);
  Task<http::Reply> create(Call& call);   ///< POST
  Task<http::Reply> put(Call& call);      ///< creates without an id, replaces with one
  Task<http::Reply> item(Call& call);     ///< GET, PATCH, DELETE of path[1]
  Task<http::Reply> plugins(Call& call);  ///< GET, POST, PUT of the plugins of path[1]
  Task<http::Reply> plugin(Call& call);   ///< GET, PATCH, DELETE of path[3]

 private:
  struct Found {
    std::optional<LegacyApi> api;
    std::optional<http::Reply> wrong;
  };
  Task<Found> find(std::string key);
  Task<Found> with_route(Json service);
  /// What the given fields are laid over: a PATCH keeps the others, a replacement does not.
  enum class Over { nothing, existing };
  Task<http::Reply> save(Json given, std::optional<LegacyApi> existing, Over over, unsigned status);
  Task<http::Reply> remove(LegacyApi api);
  Task<http::Reply> list_plugins(Call& call, const LegacyApi& api);
  Task<http::Reply> put_ssl(Call& call);   ///< POST, PUT of a plugin that is named `ssl`
  Task<http::Reply> ssl_item(Call& call);  ///< path[3] when it is none of `plugins`

  Context& context_;
  Rows& rows_;
  LegacySsl ssl_;
};

}  // namespace gateway::admin
