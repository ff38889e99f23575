// JSON from outside, taken for a row of each kind: complaints or a whole row, never a crash.
#include <cstdint>
#include <cstdlib>

#include "entity/consumer.h"
#include "entity/route.h"
#include "entity/row.h"
#include "entity/service.h"
#include "entity/target.h"
#include "entity/types.h"
#include "entity/upstream.h"
#include "schema/document.h"

using gateway::Json;
namespace entity = gateway::entity;

namespace {

template <class Made>
void check(const entity::Type& type, Json document) {
  const Json complaints = entity::complete(type, document, 1700000000);
  if (!complaints.is_null()) {
    (void)gateway::schema::summary(complaints);
    return;
  }
  (void)Made::from_json(document);
  Json again = document;
  if (!entity::complete(type, again, 1700000000).is_null()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const entity::TypePtr services = entity::services_type();
  static const entity::TypePtr routes = entity::routes_type(entity::RouteRules::traditional_compatible);
  static const entity::TypePtr consumers = entity::consumers_type();
  static const entity::TypePtr upstreams = entity::upstreams_type();
  static const entity::TypePtr targets = entity::targets_type();
  const Json document = gateway::parse_json({reinterpret_cast<const char*>(data), size}, 64);
  if (!document.is_object()) return 0;
  check<entity::Service>(*services, document);
  check<entity::Route>(*routes, document);
  check<entity::Consumer>(*consumers, document);
  check<entity::Upstream>(*upstreams, document);
  check<entity::Target>(*targets, document);
  return 0;
}
