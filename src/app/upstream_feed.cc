#include "app/upstream_feed.h"

namespace gateway::app {
namespace {

void apply(const store::Change& change, upstream::Directory& directory) {
  const bool gone = change.after.is_null();
  if (change.entity == "upstreams") {
    gone ? directory.erase_upstream(change.id) : directory.set_upstream(entity::Upstream::from_json(change.after));
  } else if (change.entity == "targets") {
    gone ? directory.erase_target(change.id) : directory.set_target(entity::Target::from_json(change.after));
  }
}

}  // namespace

Status load_upstreams(store::Store& store, const entity::Catalog& catalog, upstream::Directory& directory) {
  for (const char* name : {"upstreams", "targets"}) {
    const entity::Type& type = *catalog.find(name);
    store::PageRequest request;
    request.size = 1000;
    for (bool more = true; more;) {
      Result<store::Page> page = store.page(type, request);
      if (!page) return page.error();
      for (Json& row : page->rows) {
        store::Change change;
        change.entity = name;
        change.after = std::move(row);
        apply(change, directory);
      }
      request.after = page->next;
      more = page->next.has_value();
    }
  }
  directory.flush();
  return {};
}

void tell_upstreams(const std::vector<store::Change>& changes, upstream::Directory& directory) {
  for (const store::Change& change : changes) apply(change, directory);
}

}  // namespace gateway::app
