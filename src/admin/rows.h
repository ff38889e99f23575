#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "admin/answers.h"
#include "admin/certificates.h"
#include "admin/context.h"
#include "admin/protocols.h"
#include "base/task.h"

namespace gateway::admin {

/// The rows of a nested path: only those whose `field` is `id`.
struct Parent {
  std::string field;
  Uuid id;
};

/// What every entity's endpoints do, by its declaration alone (Kong 3.9 Admin API, generic verbs).
class Rows {
 public:
  explicit Rows(Context& context) : context_(context), certificates_(context), protocols_(context) {}

  /// `path`: of the collection, for the link to the next page.
  Task<http::Reply> list(const entity::Type& type, const Call& call, std::optional<Parent> parent, std::string path);
  Task<http::Reply> create(const entity::Type& type, Call& call, std::optional<Parent> parent);
  /// GET, PUT, PATCH or DELETE of one row.
  Task<http::Reply> item(const entity::Type& type, const std::string& key, Call& call, std::optional<Parent> parent);
  /// The row that `child`'s foreign field points to: GET, PUT, PATCH.
  Task<http::Reply> followed(const entity::Type& child, const std::string& key, const entity::Foreign& foreign, Call& call);
  /// Validation alone.
  http::Reply validate(const entity::Type& type, Call& call);

  /// What a path segment stands for.
  struct Found {
    std::optional<Json> row;
    std::optional<Uuid> id;            ///< of the row, or when the segment is one
    std::optional<http::Reply> wrong;  ///< the segment cannot name a row, or the store failed
  };
  Task<Found> find(const entity::Type& type, const std::string& key, std::optional<Parent> parent);

  /// The answer for a segment that names no row.
  [[nodiscard]] static http::Reply missing(const entity::Type& type, const Found& found);

 private:
  Task<http::Reply> replace(const entity::Type& type, const std::string& key, Found found, Call& call, std::optional<Parent> parent);
  Task<http::Reply> change(const entity::Type& type, const std::string& key, Found found, Call& call);
  Task<http::Reply> remove(const entity::Type& type, Found found);
  /// Foreign fields given by another unique field than the id; types this build does not have.
  Task<std::optional<http::Reply>> resolve_foreign(const entity::Type& type, Json& document);
  Task<std::optional<http::Reply>> check_relations(const entity::Type& type, const Json& document);
  Task<Result<std::optional<Json>>> named(const entity::Type& type, const Json& name);
  /// Rows as they are shown, with what other rows add to them.
  Task<Status> complete_shown(const entity::Type& type, Json& rows);
  Task<http::Reply> shown(const entity::Type& type, unsigned status, const Json& row);
  Task<http::Reply> write(const entity::Type& type, store::Operation operation, Json document, unsigned status);
  std::optional<http::Reply> page_request(const entity::Type& type, const Call& call, bool nested, store::PageRequest& request);

  Context& context_;
  Certificates certificates_;
  Protocols protocols_;
};

}  // namespace gateway::admin
