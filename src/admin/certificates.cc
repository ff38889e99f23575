#include "admin/certificates.h"

#include <algorithm>
#include <map>

#include "entity/row.h"
#include "schema/record.h"

namespace gateway::admin {
namespace {

using http::Reply;
using store::Operation;

constexpr std::size_t scan_page = 1000;

std::optional<Uuid> id_in(const Json& row, const char* dotted) {
  const Json& id = schema::at_path(row, dotted);
  return id.is_string() ? Uuid::parse(id.get_ref<const std::string&>()) : std::nullopt;
}

// Blocks. Every row that `request` asks for, until `visit` has seen enough.
template <class Visit>
Status for_each_row(store::Store& store, const entity::Type& type, store::PageRequest request, const Visit& visit) {
  request.size = scan_page;
  for (bool more = true; more;) {
    Result<store::Page> page = store.page(type, request);
    if (!page) return page.error();
    for (Json& row : page->rows) {
      if (!visit(std::move(row))) return {};
    }
    request.after = page->next;
    more = page->next.has_value();
  }
  return {};
}

// Blocks. The rows of a certificate's names, by name.
Result<std::map<std::string, Json>> names_of(store::Store& store, const entity::Type& snis, const Uuid& certificate) {
  std::map<std::string, Json> names;
  store::PageRequest request;
  request.parent_field = "certificate";
  request.parent = certificate;
  const Status read = for_each_row(store, snis, request, [&](Json row) {
    std::string name = row.value("name", "");
    names.emplace(std::move(name), std::move(row));
    return true;
  });
  if (!read) return read.error();
  return names;
}

bool lists(const Json& ids, const Uuid& id) {
  return ids.is_array() &&
         std::any_of(ids.begin(), ids.end(), [&](const Json& each) { return each.is_string() && Uuid::parse(each.get_ref<const std::string&>()) == id; });
}

Reply wrong_name(const std::string& why) { return schema_violation({{"snis", why}}); }

}  // namespace

Task<Certificates::Plan> Certificates::plan(Operation operation, Json document) {
  const entity::Type& certificates = *context_.catalog.find("certificates");
  const entity::Type& snis = *context_.catalog.find("snis");
  const Uuid id = id_in(document, "id").value_or(Uuid{});
  const bool keeps_names = operation == Operation::update && !document.contains("snis");
  const Json wanted = document.value("snis", Json());
  document.erase("snis");
  Plan plan;
  if (keeps_names) {
    plan.writes.push_back({operation, &certificates, id, std::move(document)});
    co_return plan;
  }

  struct Known {
    std::map<std::string, Json> own;
    std::map<std::string, Json> held;  ///< rows that have a wanted name already
  };
  auto work = [&]() -> Result<Known> {
    Known known;
    Result<std::map<std::string, Json>> own = names_of(context_.store, snis, id);
    if (!own) return own.error();
    known.own = std::move(*own);
    for (const Json& name : wanted) {
      Result<std::optional<Json>> row = context_.store.find(snis, "name", name.get_ref<const std::string&>());
      if (!row) return row.error();
      if (*row) known.held.emplace(name.get<std::string>(), std::move(**row));
    }
    return known;
  };
  const Result<Known> known = co_await context_.pool.run(work);
  if (!known) {
    plan.wrong = unexpected(known.error());
    co_return plan;
  }
  for (const auto& [name, row] : known->own) {
    if (std::find(wanted.begin(), wanted.end(), Json(name)) == wanted.end()) {
      plan.writes.push_back({Operation::remove, &snis, id_in(row, "id").value_or(Uuid{}), {}});
    }
  }
  plan.writes.push_back({operation, &certificates, id, std::move(document)});
  for (auto each = wanted.begin(); each != wanted.end(); ++each) {
    const std::string name = each->get<std::string>();
    if (std::find(wanted.begin(), each, *each) != each) {
      plan.wrong = wrong_name(name + " is duplicated");
      co_return plan;
    }
    if (const auto held = known->held.find(name); held != known->held.end()) {
      const std::optional<Uuid> holder = id_in(held->second, "certificate.id");
      if (holder == id) continue;
      plan.wrong = wrong_name(name + " already associated with existing certificate '" + (holder ? holder->to_string() : "") + "'");
      co_return plan;
    }
    Json row = {{"name", name}, {"certificate", {{"id", id.to_string()}}}};
    const Json complaints = entity::complete(snis, row, context_.now());
    if (!complaints.is_null()) {
      plan.wrong = schema_violation(complaints);
      co_return plan;
    }
    const Uuid row_id = id_in(row, "id").value_or(Uuid{});
    plan.writes.push_back({Operation::insert, &snis, row_id, std::move(row)});
  }
  co_return plan;
}

Task<Status> Certificates::add_names(Json& rows) {
  const entity::Type& snis = *context_.catalog.find("snis");
  auto work = [&]() -> Status {
    for (Json& row : rows) {
      const Result<std::map<std::string, Json>> names = names_of(context_.store, snis, id_in(row, "id").value_or(Uuid{}));
      if (!names) return names.error();
      Json& list = row["snis"] = Json::array();
      for (const auto& [name, sni] : *names) list.push_back(name);
    }
    return {};
  };
  co_return co_await context_.pool.run(work);
}

// No index leads from an authority to those who name it: deleting one is rare, and looks at all of them.
Task<std::optional<Reply>> Certificates::authority_in_use(Uuid authority) {
  std::string user;
  auto work = [&]() -> Status {
    for (const auto& [entity, field] : {std::pair("services", "ca_certificates"), std::pair("plugins", "config.ca_certificates")}) {
      const Status read = for_each_row(context_.store, *context_.catalog.find(entity), {}, [&, entity = entity, field = field](const Json& row) {
        if (!lists(schema::at_path(row, field), authority)) return true;
        user = std::string(entity) + " (id = " + row.value("id", "") + ")";
        return false;
      });
      if (!read || !user.empty()) return read;
    }
    return {};
  };
  const Status looked = co_await context_.pool.run(work);
  if (!looked) co_return unexpected(looked.error());
  if (user.empty()) co_return std::nullopt;
  co_return referenced_by_others("ca certificate " + authority.to_string() + " is still referenced by " + user);
}

}  // namespace gateway::admin
