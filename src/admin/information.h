#pragma once

#include "admin/answers.h"
#include "admin/context.h"
#include "admin/rows.h"
#include "base/task.h"

namespace gateway::admin {

/// What the node tells about itself, its schemas and its caches (Kong 3.9 Admin API, node information).
class Information {
 public:
  Information(Context& context, Rows& rows) : context_(context), rows_(rows) {}

  Task<http::Reply> root(Call& call);
  Task<http::Reply> status(Call& call);
  Task<http::Reply> ready(Call& call);
  Task<http::Reply> enabled_plugins(Call& call);
  Task<http::Reply> schema(Call& call);         ///< /schemas/{entity}
  Task<http::Reply> plugin_schema(Call& call);  ///< /schemas/plugins/{name}
  Task<http::Reply> plugin_config_schema(Call& call);
  Task<http::Reply> validate(Call& call);  ///< /schemas/{entity}/validate
  Task<http::Reply> tags(Call& call);
  Task<http::Reply> cached(Call& call);
  Task<http::Reply> clear_cache(Call& call);
  Task<http::Reply> log_level(Call& call);
  Task<http::Reply> timers(Call& call);

 private:
  Context& context_;
  Rows& rows_;
};

}  // namespace gateway::admin
