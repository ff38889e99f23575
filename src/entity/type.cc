#include "entity/type.h"

#include <algorithm>

namespace gateway::entity {

const Type* Catalog::find(std::string_view name) const {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& type) { return type->name == name; });
  return found == types_.end() ? nullptr : found->get();
}

const Type* Catalog::find_collection(std::string_view segment) const {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& type) { return type->collection == segment; });
  return found == types_.end() ? nullptr : found->get();
}

}  // namespace gateway::entity
