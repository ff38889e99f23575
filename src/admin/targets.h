#pragma once

#include <vector>

#include "admin/context.h"
#include "admin/rows.h"
#include "base/task.h"
#include "entity/target.h"

namespace gateway::admin {

/// What is below /upstreams/{upstreams}: targets, their health, and marks set by hand. Source: Kong 3.9 Admin API, upstreams.
class Targets {
 public:
  Targets(Context& context, Rows& rows) : context_(context), rows_(rows) {}

  Task<http::Reply> list(Call& call);    ///< GET: newest first; POST
  Task<http::Reply> all(Call& call);     ///< as they are stored
  Task<http::Reply> item(Call& call);    ///< GET, PATCH, PUT (which changes, too), DELETE
  Task<http::Reply> mark(Call& call);    ///< .../healthy and .../unhealthy, of a target or one of its addresses
  Task<http::Reply> health(Call& call);  ///< of the targets, or of the whole upstream

 private:
  struct Parentage {
    std::optional<Json> upstream;
    std::optional<http::Reply> wrong;
    Uuid id;
  };
  Task<Parentage> parent(const Call& call);
  /// All targets of an upstream, newest first.
  Task<Result<std::vector<Json>>> newest_first(Uuid upstream);
  struct Slice {
    Json body;
    std::optional<http::Reply> wrong;
  };
  Task<Slice> slice(const Call& call, Uuid upstream, std::string path);

  Context& context_;
  Rows& rows_;
};

}  // namespace gateway::admin
