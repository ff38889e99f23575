#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/sqlite/sqlite_store.h"

namespace gateway::store::sqlite::testing {

using entity::Catalog;
using entity::OnDelete;
using entity::Type;

inline std::shared_ptr<Type> type(std::string name, std::vector<std::string> unique, std::vector<entity::Foreign> foreign = {}) {
  auto made = std::make_shared<Type>();
  made->name = made->collection = made->nested = std::move(name);
  made->unique = std::move(unique);
  made->foreign = std::move(foreign);
  return made;
}

/// Shaped like the real ones: a restricting child, cascading ones, a composite key, a time to live.
struct Types {
  std::shared_ptr<Type> services = type("services", {"name"});
  std::shared_ptr<Type> routes = type("routes", {"name"}, {{"service", "services", OnDelete::restrict}});
  std::shared_ptr<Type> consumers = type("consumers", {"username", "custom_id"});
  std::shared_ptr<Type> plugins =
      type("plugins", {}, {{"route", "routes", OnDelete::cascade}, {"service", "services", OnDelete::cascade}, {"consumer", "consumers", OnDelete::cascade}});
  std::shared_ptr<Type> keys = type("keyauth_credentials", {"key"}, {{"consumer", "consumers", OnDelete::cascade}});

  Types() {
    plugins->cache_key = {"name", "route", "service", "consumer"};
    keys->has_ttl = true;
  }
  [[nodiscard]] Catalog catalog() const { return Catalog({services, routes, consumers, plugins, keys}); }
};

/// A directory of its own, gone at the end.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "sqlite_store_XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] std::string file() const { return path_ + "/store.db"; }

 private:
  std::string path_;
};

inline Json ref(const Uuid& id) { return {{"id", id.to_string()}}; }

/// Ids in a known order.
inline Uuid id_of(unsigned number) {
  Uuid id;
  id.bytes[0] = static_cast<std::uint8_t>(number >> 8);
  id.bytes[1] = static_cast<std::uint8_t>(number);
  id.bytes[15] = 1;
  return id;
}

inline Write put(Operation operation, const Type& of, const Uuid& id, Json document) {
  document["id"] = id.to_string();
  return {operation, &of, id, std::move(document)};
}
inline Write insert(const Type& of, const Uuid& id, Json document) { return put(Operation::insert, of, id, std::move(document)); }
inline Write remove(const Type& of, const Uuid& id) { return {Operation::remove, &of, id, {}}; }

class SqliteStore : public ::testing::Test {
 protected:
  void SetUp() override { store_ = reopen(types_.catalog()); }

  std::unique_ptr<Store> reopen(const Catalog& catalog) {
    store_.reset();
    auto opened = open(directory_.file());
    EXPECT_TRUE(opened) << opened.error().to_string();
    if (!opened) return nullptr;
    const Status migrated = (*opened)->migrate(catalog);
    EXPECT_TRUE(migrated) << migrated.error().to_string();
    return std::move(*opened);
  }

  /// The changes of writes that must be done.
  std::vector<Change> done(const std::vector<Write>& writes) {
    auto outcome = store_->write(writes);
    if (!outcome) {
      ADD_FAILURE() << outcome.error().to_string();
      return {};
    }
    if (const auto* refusal = std::get_if<Refusal>(&*outcome)) {
      ADD_FAILURE() << "refused: " << static_cast<int>(refusal->reason) << ' ' << refusal->entity << ' ' << refusal->fields;
      return {};
    }
    return std::get<std::vector<Change>>(std::move(*outcome));
  }
  std::vector<Change> done(Write write) { return done(std::vector<Write>{std::move(write)}); }

  Refusal refused(const std::vector<Write>& writes) {
    auto outcome = store_->write(writes);
    if (!outcome || !std::holds_alternative<Refusal>(*outcome)) {
      ADD_FAILURE() << "not refused";
      return {};
    }
    return std::get<Refusal>(*outcome);
  }
  Refusal refused(Write write) { return refused(std::vector<Write>{std::move(write)}); }

  std::optional<Json> get(const Type& of, const Uuid& id) {
    auto row = store_->get(of, id);
    EXPECT_TRUE(row) << row.error().to_string();
    return row ? *row : std::nullopt;
  }
  std::optional<Json> find(const Type& of, std::string_view field, std::string_view value) {
    auto row = store_->find(of, field, value);
    EXPECT_TRUE(row) << row.error().to_string();
    return row ? *row : std::nullopt;
  }
  std::vector<std::string> ids(const Type& of, const PageRequest& request) {
    std::vector<std::string> found;
    auto page = store_->page(of, request);
    EXPECT_TRUE(page) << page.error().to_string();
    if (page) {
      for (const Json& row : page->rows) found.push_back(row["id"]);
    }
    return found;
  }

  Types types_;
  Directory directory_;
  std::unique_ptr<Store> store_;
};

}  // namespace gateway::store::sqlite::testing
