#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "store/sqlite/connection.h"
#include "store/sqlite/test_support.h"

namespace gateway::store::sqlite::testing {
namespace {

using Reason = Refusal::Reason;

TEST_F(SqliteStore, ReturnsWhatWasInsertedByIdAndByUniqueField) {
  const auto changes = done(insert(*types_.services, id_of(1), {{"name", "a"}, {"host", "h"}}));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].entity, "services");
  EXPECT_EQ(changes[0].id, id_of(1));
  EXPECT_TRUE(changes[0].before.is_null());
  EXPECT_EQ(changes[0].after["host"], "h");
  EXPECT_EQ(get(*types_.services, id_of(1)), changes[0].after);
  EXPECT_EQ(find(*types_.services, "name", "a"), changes[0].after);
  EXPECT_EQ(find(*types_.services, "name", "b"), std::nullopt);
  EXPECT_EQ(find(*types_.services, "name", ""), std::nullopt);
  EXPECT_EQ(get(*types_.services, id_of(2)), std::nullopt);
  EXPECT_EQ(store_->name(), "sqlite");
}

TEST_F(SqliteStore, UniqueValuesAreComparedByteByByte) {
  const std::string with_nul("a\0b", 3);
  done({insert(*types_.services, id_of(1), {{"name", "a"}}), insert(*types_.services, id_of(2), {{"name", "A"}}),
        insert(*types_.services, id_of(3), {{"name", with_nul}}), insert(*types_.services, id_of(4), {{"name", "1"}})});
  EXPECT_EQ(find(*types_.services, "name", with_nul)->at("id"), id_of(3).to_string());
  EXPECT_EQ(find(*types_.services, "name", "A")->at("id"), id_of(2).to_string());
  EXPECT_EQ(find(*types_.services, "name", "01"), std::nullopt);
  EXPECT_EQ(find(*types_.services, "name", "' OR 1=1 --"), std::nullopt);
}

TEST_F(SqliteStore, LookingUpByAFieldThatIsNotUniqueIsAnError) {
  EXPECT_FALSE(store_->find(*types_.services, "host", "x"));
  EXPECT_FALSE(store_->find_by_cache_key(*types_.services, Json::object()));
  PageRequest request;
  request.parent_field = "name";
  EXPECT_FALSE(store_->page(*types_.services, request));
  EXPECT_FALSE(store_->get(*type("strangers", {}), id_of(1)));
}

TEST_F(SqliteStore, DocumentsThatCannotBeStoredAreErrorsAndNothingIsDone) {
  EXPECT_FALSE(
      store_->write(std::vector<Write>{insert(*types_.services, id_of(1), {{"name", "ok"}}), insert(*types_.services, id_of(2), {{"name", "bad \xff"}})}));
  EXPECT_FALSE(store_->write(std::vector<Write>{Write{Operation::insert, types_.services.get(), id_of(1), Json::array()}}));
  EXPECT_FALSE(store_->write(std::vector<Write>{insert(*types_.routes, id_of(1), {{"service", "x"}})}));
  EXPECT_FALSE(store_->write(std::vector<Write>{Write{Operation::insert, nullptr, id_of(1), {}}}));
  EXPECT_EQ(*store_->count(*types_.services), 0);
}

TEST_F(SqliteStore, AnUpdateReplacesTheDocumentAndReportsBoth) {
  done(insert(*types_.services, id_of(1), {{"name", "a"}, {"path", "/x"}}));
  const auto changes = done(put(Operation::update, *types_.services, id_of(1), {{"name", "b"}}));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].before["name"], "a");
  EXPECT_EQ(changes[0].after["name"], "b");
  EXPECT_FALSE(get(*types_.services, id_of(1))->contains("path"));
  EXPECT_EQ(find(*types_.services, "name", "a"), std::nullopt);
  // Its own values are not in its way.
  done(put(Operation::update, *types_.services, id_of(1), {{"name", "b"}, {"path", "/y"}}));
}

TEST_F(SqliteStore, AnUpsertInsertsOrUpdates) {
  EXPECT_TRUE(done(put(Operation::upsert, *types_.services, id_of(1), {{"name", "a"}}))[0].before.is_null());
  EXPECT_EQ(done(put(Operation::upsert, *types_.services, id_of(1), {{"name", "b"}}))[0].before["name"], "a");
  EXPECT_EQ(*store_->count(*types_.services), 1);
}

TEST_F(SqliteStore, InsertingAnIdThatExistsIsRefused) {
  done(insert(*types_.services, id_of(1), {{"name", "a"}}));
  const Refusal refusal = refused(insert(*types_.services, id_of(1), {{"name", "b"}}));
  EXPECT_EQ(refusal.reason, Reason::primary_key);
  EXPECT_EQ(refusal.entity, "services");
  EXPECT_EQ(refusal.fields, ref(id_of(1)));
}

TEST_F(SqliteStore, AUniqueValueThatIsTakenIsRefusedOnInsertAndUpdate) {
  done({insert(*types_.consumers, id_of(1), {{"username", "a"}, {"custom_id", "x"}}), insert(*types_.consumers, id_of(2), {{"username", "b"}})});
  Refusal refusal = refused(insert(*types_.consumers, id_of(3), {{"username", "c"}, {"custom_id", "x"}}));
  EXPECT_EQ(refusal.reason, Reason::unique);
  EXPECT_EQ(refusal.entity, "consumers");
  EXPECT_EQ(refusal.fields, (Json{{"custom_id", "x"}}));
  refusal = refused(put(Operation::update, *types_.consumers, id_of(2), {{"username", "a"}}));
  EXPECT_EQ(refusal.reason, Reason::unique);
  EXPECT_EQ(refusal.fields, (Json{{"username", "a"}}));
}

TEST_F(SqliteStore, NullsOfAUniqueFieldDoNotCollide) {
  done({insert(*types_.services, id_of(1), {{"name", nullptr}}), insert(*types_.services, id_of(2), {{"name", nullptr}}),
        insert(*types_.services, id_of(3), Json::object())});
  EXPECT_EQ(*store_->count(*types_.services), 3);
}

TEST_F(SqliteStore, ACompositeKeyIsUniqueNullsIncluded) {
  done({insert(*types_.services, id_of(1), {{"name", "a"}}), insert(*types_.plugins, id_of(1), {{"name", "acl"}, {"service", ref(id_of(1))}}),
        insert(*types_.plugins, id_of(2), {{"name", "acl"}, {"service", nullptr}})});
  Refusal refusal = refused(insert(*types_.plugins, id_of(3), {{"name", "acl"}, {"service", ref(id_of(1))}, {"route", nullptr}}));
  EXPECT_EQ(refusal.reason, Reason::unique);
  EXPECT_EQ(refusal.fields, (Json{{"name", "acl"}, {"service", ref(id_of(1))}, {"route", nullptr}, {"consumer", nullptr}}));
  refusal = refused(insert(*types_.plugins, id_of(3), {{"name", "acl"}}));
  EXPECT_EQ(refusal.reason, Reason::unique);

  const Json key = {{"name", "acl"}, {"service", ref(id_of(1))}, {"route", nullptr}, {"consumer", nullptr}};
  EXPECT_EQ((*store_->find_by_cache_key(*types_.plugins, key))->at("id"), id_of(1).to_string());
  EXPECT_EQ((*store_->find_by_cache_key(*types_.plugins, {{"name", "acl"}}))->at("id"), id_of(2).to_string());
  EXPECT_EQ(*store_->find_by_cache_key(*types_.plugins, {{"name", "cors"}}), std::nullopt);
}

TEST_F(SqliteStore, AMissingParentIsRefused) {
  const Refusal refusal = refused(insert(*types_.routes, id_of(1), {{"service", ref(id_of(9))}}));
  EXPECT_EQ(refusal.reason, Reason::missing_parent);
  EXPECT_EQ(refusal.entity, "services");
  EXPECT_EQ(refusal.fields, (Json{{"service", ref(id_of(9))}}));
}

TEST_F(SqliteStore, AParentOfTheSameWriteCounts) {
  done({insert(*types_.services, id_of(1), {{"name", "a"}}), insert(*types_.routes, id_of(1), {{"service", ref(id_of(1))}})});
  EXPECT_EQ(*store_->count(*types_.routes), 1);
}

TEST_F(SqliteStore, UpdatingWhatIsNotThereIsRefused) {
  const Refusal refusal = refused(put(Operation::update, *types_.services, id_of(1), {{"name", "a"}}));
  EXPECT_EQ(refusal.reason, Reason::not_found);
  EXPECT_EQ(refusal.entity, "services");
}

TEST_F(SqliteStore, RemovingWhatIsNotThereIsNoChange) { EXPECT_TRUE(done(remove(*types_.services, id_of(1))).empty()); }

TEST_F(SqliteStore, RemovingWhatIsStillReferencedIsRefused) {
  done({insert(*types_.services, id_of(1), {{"name", "a"}}), insert(*types_.routes, id_of(1), {{"service", ref(id_of(1))}}),
        insert(*types_.plugins, id_of(1), {{"name", "acl"}, {"service", ref(id_of(1))}})});
  const Refusal refusal = refused(remove(*types_.services, id_of(1)));
  EXPECT_EQ(refusal.reason, Reason::still_referenced);
  EXPECT_EQ(refusal.entity, "routes");
  EXPECT_EQ(*store_->count(*types_.plugins), 1);
  // Together with its children, in that order, it goes.
  EXPECT_EQ(done({remove(*types_.routes, id_of(1)), remove(*types_.services, id_of(1))}).size(), 3U);
}

TEST_F(SqliteStore, RemovalCascadesAndReportsEveryRowChildrenFirst) {
  done({insert(*types_.services, id_of(1), {{"name", "a"}}), insert(*types_.routes, id_of(2), {{"service", nullptr}}),
        insert(*types_.consumers, id_of(3), {{"username", "u"}}), insert(*types_.keys, id_of(4), {{"key", "k"}, {"consumer", ref(id_of(3))}, {"tags", {"t"}}}),
        insert(*types_.plugins, id_of(5), {{"name", "acl"}, {"consumer", ref(id_of(3))}, {"service", ref(id_of(1))}}),
        insert(*types_.plugins, id_of(6), {{"name", "acl"}, {"route", ref(id_of(2))}})});
  const auto changes = done(remove(*types_.consumers, id_of(3)));
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].entity, "plugins");
  EXPECT_EQ(changes[1].entity, "keyauth_credentials");
  EXPECT_EQ(changes[1].before["key"], "k");
  EXPECT_EQ(changes[2].entity, "consumers");
  for (const Change& change : changes) EXPECT_TRUE(change.after.is_null());
  EXPECT_EQ(*store_->count(*types_.plugins), 1);
  EXPECT_EQ(*store_->count(*types_.services), 1);
  EXPECT_TRUE(store_->tagged(std::nullopt, 10, 0)->empty());
}

TEST_F(SqliteStore, RemovalCascadesThroughMoreThanOneLevel) {
  auto top = type("tops", {});
  auto middle = type("middles", {}, {{"top", "tops", OnDelete::cascade}, {"self", "middles", OnDelete::cascade}});
  auto bottom = type("bottoms", {}, {{"middle", "middles", OnDelete::cascade}});
  store_ = reopen(Catalog({top, middle, bottom}));
  done({insert(*top, id_of(1), Json::object()), insert(*middle, id_of(2), {{"top", ref(id_of(1))}}),
        insert(*middle, id_of(3), {{"self", ref(id_of(2))}, {"top", ref(id_of(1))}}), insert(*bottom, id_of(4), {{"middle", ref(id_of(3))}})});
  EXPECT_EQ(done(remove(*top, id_of(1))).size(), 4U);
  EXPECT_EQ(*store_->count(*bottom), 0);
}

TEST_F(SqliteStore, ARefusalUndoesAllOfTheCall) {
  done(insert(*types_.services, id_of(1), {{"name", "a"}}));
  const std::int64_t last = *store_->last_change();
  refused({insert(*types_.services, id_of(2), {{"name", "b"}}), remove(*types_.services, id_of(1)), insert(*types_.services, id_of(3), {{"name", "b"}})});
  EXPECT_TRUE(get(*types_.services, id_of(1)));
  EXPECT_FALSE(get(*types_.services, id_of(2)));
  EXPECT_EQ(*store_->last_change(), last);
}

TEST_F(SqliteStore, PagesAreInOrderOfIdAndEnd) {
  for (unsigned i : {5U, 1U, 300U, 2U, 4U, 256U}) done(insert(*types_.services, id_of(i), Json::object()));
  PageRequest request;
  request.size = 2;
  std::vector<std::string> all;
  int pages = 0;
  for (bool more = true; more; ++pages) {
    const auto page = store_->page(*types_.services, request);
    ASSERT_TRUE(page);
    ASSERT_EQ(page->rows.size(), 2U);
    for (const Json& row : page->rows) all.push_back(row["id"]);
    request.after = page->next;
    more = page->next.has_value();
  }
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(all.size(), 6U);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  request.after = id_of(3);  // a cursor whose row has gone meanwhile
  EXPECT_EQ(ids(*types_.services, request)[0], id_of(4).to_string());
  request.after = id_of(300);
  EXPECT_TRUE(ids(*types_.services, request).empty());
}

TEST_F(SqliteStore, APageBelowAParentHasItsRowsOnly) {
  done({insert(*types_.services, id_of(1), {{"name", "a"}}), insert(*types_.services, id_of(2), {{"name", "b"}}),
        insert(*types_.routes, id_of(1), {{"service", ref(id_of(1))}}), insert(*types_.routes, id_of(2), {{"service", ref(id_of(2))}}),
        insert(*types_.routes, id_of(3), {{"service", ref(id_of(1))}}), insert(*types_.routes, id_of(4), {{"service", nullptr}})});
  PageRequest request;
  request.parent_field = "service";
  request.parent = id_of(1);
  EXPECT_EQ(ids(*types_.routes, request), (std::vector{id_of(1).to_string(), id_of(3).to_string()}));
  done(put(Operation::update, *types_.routes, id_of(1), {{"service", ref(id_of(2))}}));
  EXPECT_EQ(ids(*types_.routes, request), (std::vector{id_of(3).to_string()}));
}

TEST_F(SqliteStore, TagsSelectAllOrAny) {
  done({insert(*types_.services, id_of(1), {{"tags", {"a", "b", "a"}}}), insert(*types_.services, id_of(2), {{"tags", {"b"}}}),
        insert(*types_.services, id_of(3), {{"tags", nullptr}}), insert(*types_.routes, id_of(1), {{"tags", {"b"}}})});
  const std::string one = id_of(1).to_string();
  const std::string two = id_of(2).to_string();
  PageRequest request;
  request.tags = {"a", "b"};
  EXPECT_EQ(ids(*types_.services, request), (std::vector{one}));
  request.tags_mode = PageRequest::Tags::any;
  EXPECT_EQ(ids(*types_.services, request), (std::vector{one, two}));
  request.tags = {"c"};
  EXPECT_TRUE(ids(*types_.services, request).empty());
  request.tags = {"b"};
  request.after = id_of(1);
  EXPECT_EQ(ids(*types_.services, request), (std::vector{two}));
  done(put(Operation::update, *types_.services, id_of(2), {{"tags", {"c"}}}));
  EXPECT_TRUE(ids(*types_.services, request).empty());
}

TEST_F(SqliteStore, TaggedListsOneLinePerTagAndRow) {
  done({insert(*types_.services, id_of(1), {{"tags", {"b", "a"}}}), insert(*types_.routes, id_of(2), {{"tags", {"b"}}})});
  const auto all = store_->tagged(std::nullopt, 10, 0);
  ASSERT_EQ(all->size(), 3U);
  EXPECT_EQ((*all)[0].tag, "a");
  EXPECT_EQ((*all)[1].entity, "routes");
  EXPECT_EQ((*all)[1].id, id_of(2));
  EXPECT_EQ(store_->tagged("b", 10, 0)->size(), 2U);
  EXPECT_EQ(store_->tagged("b", 1, 1)->at(0).entity, "services");
  EXPECT_TRUE(store_->tagged("b", 10, 2)->empty());
}

TEST_F(SqliteStore, TheTimeToLiveShownIsWhatIsLeftAndThenTheRowIsGone) {
  done({insert(*types_.keys, id_of(1), {{"key", "short"}, {"ttl", 1}, {"tags", {"t"}}}), insert(*types_.keys, id_of(2), {{"key", "long"}, {"ttl", 1000}}),
        insert(*types_.keys, id_of(3), {{"key", "ever"}, {"ttl", nullptr}})});
  EXPECT_EQ(get(*types_.keys, id_of(1))->at("ttl"), 1);
  EXPECT_EQ(find(*types_.keys, "key", "long")->at("ttl"), 1000);
  EXPECT_TRUE(get(*types_.keys, id_of(3))->at("ttl").is_null());
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(get(*types_.keys, id_of(1)), std::nullopt);
  EXPECT_EQ(find(*types_.keys, "key", "short"), std::nullopt);
  EXPECT_EQ(ids(*types_.keys, {}).size(), 2U);
  EXPECT_EQ(*store_->count(*types_.keys), 2);
  EXPECT_TRUE(store_->tagged("t", 10, 0)->empty());
  EXPECT_LT(get(*types_.keys, id_of(2))->at("ttl"), 1000);

  // What has expired is in nobody's way, whether it has been deleted or not.
  EXPECT_EQ(refused(put(Operation::update, *types_.keys, id_of(1), {{"key", "short"}})).reason, Reason::not_found);
  EXPECT_EQ(done(insert(*types_.keys, id_of(4), {{"key", "short"}})).size(), 1U);
  EXPECT_EQ(done(put(Operation::update, *types_.keys, id_of(2), {{"key", "long"}, {"ttl", nullptr}})).size(), 1U);
  EXPECT_TRUE(get(*types_.keys, id_of(2))->at("ttl").is_null());
}

TEST_F(SqliteStore, ExpireDeletesWhatHasExpiredAndReportsNothing) {
  done({insert(*types_.consumers, id_of(1), {{"username", "u"}}), insert(*types_.keys, id_of(1), {{"key", "k"}, {"ttl", 1}, {"consumer", ref(id_of(1))}}),
        insert(*types_.keys, id_of(2), {{"key", "l"}, {"ttl", 1000}})});
  ASSERT_TRUE(store_->increment("c", 1, std::chrono::seconds(1)));
  const std::int64_t last = *store_->last_change();
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(done(insert(*types_.keys, id_of(1), {{"key", "again"}, {"ttl", -1}})).size(), 1U);  // same id
  done(put(Operation::update, *types_.keys, id_of(1), {{"key", "again"}, {"ttl", 1}}));
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  ASSERT_TRUE(store_->expire());
  EXPECT_EQ(*store_->last_change(), last + 2);
  auto connection = Connection::open(directory_.file(), Connection::Use::reads);
  Statement rows(**connection, "SELECT (SELECT count(*) FROM rows_keyauth_credentials), (SELECT count(*) FROM counters)");
  ASSERT_TRUE(*rows.step());
  EXPECT_EQ(rows.integer(0), 1);
  EXPECT_EQ(rows.integer(1), 0);
}

TEST_F(SqliteStore, TheChangeLogIsInOrderAndShowsRowsAsTheyAre) {
  EXPECT_EQ(*store_->last_change(), 0);
  EXPECT_TRUE(store_->changes_after(0, 10)->empty());
  done(insert(*types_.services, id_of(1), {{"name", "a"}}));
  done(put(Operation::update, *types_.services, id_of(1), {{"name", "b"}}));
  const auto last = done({insert(*types_.services, id_of(2), {{"name", "c"}}), remove(*types_.services, id_of(2))});
  EXPECT_EQ(*store_->last_change(), last.back().sequence);
  const auto changes = store_->changes_after(0, 10);
  ASSERT_EQ(changes->size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ((*changes)[i].sequence, static_cast<std::int64_t>(i) + 1);
  EXPECT_EQ((*changes)[0].after["name"], "b");
  EXPECT_EQ((*changes)[1].before["name"], "a");
  EXPECT_TRUE((*changes)[2].after.is_null());
  EXPECT_EQ((*changes)[3].before["name"], "c");
  EXPECT_EQ(store_->changes_after(1, 2)->size(), 2U);
  EXPECT_TRUE(store_->changes_after(4, 10)->empty());
}

TEST_F(SqliteStore, TheChangeLogKeepsItsLastHundredThousandLines) {
  std::vector<Write> writes;
  for (int i = 0; i < 50'100; ++i) {
    writes.push_back(put(Operation::upsert, *types_.services, id_of(1), {{"name", "a"}}));
  }
  done(writes);
  done(writes);
  EXPECT_EQ(*store_->last_change(), 100'200);
  EXPECT_EQ(store_->changes_after(0, 1)->at(0).sequence, 201);
}

TEST_F(SqliteStore, CountersAddUpUntilTheyEnd) {
  EXPECT_EQ(*store_->counter("c"), 0);
  EXPECT_EQ(*store_->increment("c", 2, std::chrono::seconds(1)), 2);
  EXPECT_EQ(*store_->increment("c", 3, std::chrono::seconds(100)), 5);
  EXPECT_EQ(*store_->increment("d", -1, std::chrono::seconds::max()), -1);
  EXPECT_EQ(*store_->counter("c"), 5);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(*store_->counter("c"), 0);
  EXPECT_EQ(*store_->increment("c", 1, std::chrono::seconds(100)), 1);
  EXPECT_EQ(*store_->counter("d"), -1);
}

TEST_F(SqliteStore, ParametersAreKept) {
  EXPECT_EQ(*store_->parameter("id"), std::nullopt);
  ASSERT_TRUE(store_->set_parameter("id", "one"));
  ASSERT_TRUE(store_->set_parameter("id", "two"));
  ASSERT_TRUE(store_->set_parameter("empty", {}));
  EXPECT_EQ(*store_->parameter("id"), "two");
  EXPECT_EQ(*store_->parameter("empty"), "");
}

TEST_F(SqliteStore, TheFileIsItsOwnersOnly) {
  struct stat status {};
  ASSERT_EQ(stat(directory_.file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  done(insert(*types_.services, id_of(1), Json::object()));
  ASSERT_EQ(stat((directory_.file() + "-wal").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

}  // namespace
}  // namespace gateway::store::sqlite::testing
