#pragma once

#include <optional>
#include <vector>

#include "admin/answers.h"
#include "admin/context.h"
#include "base/task.h"

namespace gateway::admin {

/// What certificates have beyond the fields of their row: the names in their `snis`, which are rows of another entity,
/// and users that no column tells of. Source: Kong 3.9, certificates and ca_certificates.
class Certificates {
 public:
  explicit Certificates(Context& context) : context_(context) {}

  struct Plan {
    std::vector<store::Write> writes;
    std::optional<http::Reply> wrong;  ///< a name given twice, or that another certificate has
  };
  /// The writes that put a certificate and its names where its validated document says; with a pass in hand. A change
  /// that does not name `snis` keeps them.
  Task<Plan> plan(store::Operation operation, Json document);

  /// Sets the `snis` of rows of certificates, as they are to be shown.
  Task<Status> add_names(Json& rows);

  /// The refusal to delete an authority that a service or plugin names; nullopt when none does.
  Task<std::optional<http::Reply>> authority_in_use(Uuid authority);

 private:
  Context& context_;
};

}  // namespace gateway::admin
