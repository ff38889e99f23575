#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "store/sqlite/connection.h"
#include "store/sqlite/test_support.h"

namespace gateway::store::sqlite::testing {
namespace {

using SqliteFile = SqliteStore;

TEST_F(SqliteFile, EverythingIsThereAfterReopening) {
  done({insert(*types_.services, id_of(1), {{"name", "a"}, {"tags", {"t"}}}), insert(*types_.keys, id_of(1), {{"key", "k"}, {"ttl", 1000}})});
  ASSERT_TRUE(store_->set_parameter("p", "v"));
  ASSERT_TRUE(store_->increment("c", 7, std::chrono::seconds(100)));
  store_ = reopen(types_.catalog());
  EXPECT_EQ(find(*types_.services, "name", "a")->at("id"), id_of(1).to_string());
  EXPECT_GT(get(*types_.keys, id_of(1))->at("ttl"), 900);
  EXPECT_EQ(store_->tagged("t", 10, 0)->size(), 1U);
  EXPECT_EQ(*store_->parameter("p"), "v");
  EXPECT_EQ(*store_->counter("c"), 7);
  EXPECT_EQ(*store_->last_change(), 2);
  EXPECT_EQ(done(insert(*types_.services, id_of(2), Json::object()))[0].sequence, 3);
}

TEST_F(SqliteFile, MigratingAgainChangesNothing) {
  done(insert(*types_.services, id_of(1), {{"name", "a"}}));
  ASSERT_TRUE(store_->migrate(types_.catalog()));
  store_ = reopen(types_.catalog());
  EXPECT_EQ(*store_->count(*types_.services), 1);
}

TEST_F(SqliteFile, MigrationAddsEntitiesAndColumnsAndFillsThem) {
  auto old = type("services", {});
  store_.reset();
  Directory other;
  {
    auto opened = open(other.file());
    ASSERT_TRUE((*opened)->migrate(Catalog({old, types_.consumers})));
    store_ = std::move(*opened);
    done({insert(*old, id_of(1), {{"name", "a"}, {"consumer", ref(id_of(9))}, {"tags", {"t"}}}), insert(*old, id_of(2), {{"name", nullptr}}),
          insert(*types_.consumers, id_of(9), {{"username", "u"}})});
    store_.reset();
  }
  auto grown = type("services", {"name"}, {{"consumer", "consumers", OnDelete::cascade}});
  grown->cache_key = {"name", "consumer"};
  auto opened = open(other.file());
  const Status migrated = (*opened)->migrate(Catalog({types_.consumers, grown, types_.keys}));
  ASSERT_TRUE(migrated) << migrated.error().to_string();
  store_ = std::move(*opened);
  EXPECT_EQ(find(*grown, "name", "a")->at("id"), id_of(1).to_string());
  EXPECT_EQ(refused(insert(*grown, id_of(3), {{"name", "a"}})).reason, Refusal::Reason::unique);
  EXPECT_TRUE((*store_->find_by_cache_key(*grown, {{"name", "a"}, {"consumer", ref(id_of(9))}})).has_value());
  EXPECT_EQ(store_->tagged("t", 10, 0)->size(), 1U);
  done(insert(*types_.keys, id_of(1), {{"key", "k"}}));
  EXPECT_EQ(done(remove(*types_.consumers, id_of(9))).size(), 2U);
  // And back: what was unique is no more, and what was a reference holds on to nothing.
  store_.reset();
  opened = open(other.file());
  ASSERT_TRUE((*opened)->migrate(Catalog({old, types_.consumers})));
  store_ = std::move(*opened);
  done({insert(*old, id_of(4), {{"name", "x"}}), insert(*old, id_of(5), {{"name", "x"}})});
}

TEST_F(SqliteFile, MigrationToAUniqueFieldThatIsNotFailsAndChangesNothing) {
  auto loose = type("services", {});
  Directory other;
  auto opened = open(other.file());
  ASSERT_TRUE((*opened)->migrate(Catalog({loose})));
  store_ = std::move(*opened);
  done({insert(*loose, id_of(1), {{"name", "a"}}), insert(*loose, id_of(2), {{"name", "a"}})});
  EXPECT_FALSE(store_->migrate(Catalog({types_.services})));
  EXPECT_EQ(*store_->count(*loose), 2);
  ASSERT_TRUE(store_->migrate(Catalog({loose})));
}

TEST_F(SqliteFile, AReferenceToNoEntityIsAnError) { EXPECT_FALSE(store_->migrate(Catalog({types_.routes}))); }

TEST_F(SqliteFile, ADatabaseOfANewerVersionIsRefused) {
  store_.reset();
  {
    auto connection = Connection::open(directory_.file(), Connection::Use::durable_writes);
    ASSERT_TRUE((*connection)->execute("UPDATE meta SET value = 2 WHERE name = 'schema_version'"));
  }
  auto opened = open(directory_.file());
  ASSERT_TRUE(opened);
  const Status migrated = (*opened)->migrate(types_.catalog());
  ASSERT_FALSE(migrated);
  EXPECT_NE(migrated.error().to_string().find("newer"), std::string::npos);
}

TEST_F(SqliteFile, WhatIsNoDatabaseIsAnErrorThatSaysSo) {
  Directory other;
  std::ofstream(other.file()) << std::string(5000, 'x');
  const auto opened = open(other.file());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().to_string().find("not a database"), std::string::npos) << opened.error().to_string();
  EXPECT_FALSE(open(other.file() + "/below/a/file"));
  EXPECT_FALSE(open(":memory:"));
  std::filesystem::remove(":memory:");
}

TEST_F(SqliteFile, ADamagedFileIsAnErrorAndNoCrash) {
  for (unsigned i = 0; i < 500; ++i) {
    done(insert(*types_.services, id_of(i), {{"name", "n" + std::to_string(i)}, {"x", std::string(500, 'y')}}));
  }
  store_.reset();
  {
    std::fstream file(directory_.file(), std::ios::in | std::ios::out | std::ios::binary);
    const auto size = std::filesystem::file_size(directory_.file());
    // The latter half: rows, while what says which tables there are is at the beginning.
    for (std::size_t at = size / 8192 * 4096; at + 4096 < size; at += 4096) {
      file.seekp(static_cast<std::streamoff>(at));
      file << std::string(200, '\x5a');
    }
  }
  auto opened = open(directory_.file());
  ASSERT_TRUE(opened);
  ASSERT_TRUE((*opened)->migrate(types_.catalog()));
  PageRequest request;
  request.size = 1000;
  const auto page = (*opened)->page(*types_.services, request);
  ASSERT_FALSE(page);
  EXPECT_NE(page.error().doing.find("malformed"), std::string::npos) << page.error().doing;
}

TEST_F(SqliteFile, ReadersAndWritersAtOnceSeeWholeWrites) {
  done({insert(*types_.services, id_of(1), {{"n", 0}}), insert(*types_.services, id_of(2), {{"n", 0}})});
  std::atomic<bool> stop = false;
  std::atomic<int> torn = 0;
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {  // more than there are connections
    threads.emplace_back([&] {
      while (!stop) {
        const auto page = store_->page(*types_.services, {});
        if (!page) {
          ++failed;
        } else if (page->rows.at(0)["n"] != page->rows.at(1)["n"]) {
          ++torn;
        }
      }
    });
  }
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 50; ++i) {
        const Json document = {{"n", w * 1000 + i}};
        if (!store_->write(std::vector<Write>{put(Operation::update, *types_.services, id_of(1), document),
                                              put(Operation::upsert, *types_.services, id_of(2), document)})) {
          ++failed;
        }
        if (!store_->increment("c", 1, std::chrono::seconds(100))) ++failed;
      }
    });
  }
  for (auto& thread : writers) thread.join();
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(*store_->counter("c"), 200);
  EXPECT_EQ(*store_->last_change(), 402);
}

TEST_F(SqliteFile, TwoStoresOnOneFileShareEverything) {
  auto second = open(directory_.file());
  ASSERT_TRUE(second);
  ASSERT_TRUE((*second)->migrate(types_.catalog()));
  std::atomic<int> failed = 0;
  std::atomic<int> inserted = 0;
  const auto storm = [&](Store& store) {
    for (unsigned i = 0; i < 100; ++i) {
      // Both want the same names: each goes to one of them.
      const auto outcome = store.write(std::vector<Write>{insert(*types_.services, Uuid::random(), {{"name", std::to_string(i)}})});
      if (!outcome) {
        ++failed;
      } else if (std::holds_alternative<std::vector<Change>>(*outcome)) {
        ++inserted;
      }
      if (!store.increment("c", 1, std::chrono::seconds(100))) ++failed;
    }
  };
  std::thread other([&] { storm(**second); });
  storm(*store_);
  other.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(inserted, 100);
  EXPECT_EQ(*(*second)->count(*types_.services), 100);
  EXPECT_EQ(*store_->counter("c"), 200);
  EXPECT_EQ((*second)->changes_after(0, 1000)->size(), 100U);
}

TEST_F(SqliteFile, AKilledProcessLosesNoAcknowledgedWrite) {
  store_.reset();  // connections do not survive a fork
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto opened = open(directory_.file());
      if (!opened || !(*opened)->migrate(types_.catalog())) _exit(1);
      for (;;) {
        const Uuid id = Uuid::random();
        const auto outcome =
            (*opened)->write(std::vector<Write>{insert(*types_.services, id, {{"name", id.to_string()}}), insert(*types_.routes, id, {{"service", ref(id)}})});
        if (!outcome || ::write(ends[1], id.bytes.data(), 16) != 16) _exit(2);
      }
    }
    close(ends[1]);
    std::vector<Uuid> acknowledged;
    Uuid id;
    bool killed = false;
    while (read(ends[0], id.bytes.data(), 16) == 16) {
      acknowledged.push_back(id);
      if (!killed && acknowledged.size() == 30 + static_cast<std::size_t>(round)) killed = kill(child, SIGKILL) == 0;
    }
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    store_ = reopen(types_.catalog());
    for (const Uuid& each : acknowledged) {
      EXPECT_TRUE(get(*types_.services, each));
      EXPECT_TRUE(get(*types_.routes, each));
    }
    EXPECT_EQ(*store_->count(*types_.services), *store_->count(*types_.routes));
    EXPECT_EQ(*store_->last_change(), *store_->count(*types_.services) * 2);
    store_.reset();
  }
}

TEST_F(SqliteFile, AFullDiskIsAnErrorAndWhatWasWrittenStays) {
  store_.reset();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Exit codes tell which step went wrong: assertions of a child are seen by nobody.
    std::signal(SIGXFSZ, SIG_IGN);
    auto opened = open(directory_.file());
    if (!opened || !(*opened)->migrate(types_.catalog())) _exit(1);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 2'000'000;
    setrlimit(RLIMIT_FSIZE, &limit);
    unsigned written = 0;
    for (;; ++written) {
      const Json document = {{"x", std::string(20'000, 'x')}};
      const auto outcome = (*opened)->write(std::vector<Write>{insert(*types_.services, id_of(written), document)});
      if (!outcome) {
        if (outcome.error().doing.find(directory_.file()) == std::string::npos) _exit(2);
        break;
      }
      if (written > 1000) _exit(3);
    }
    if (*(*opened)->count(*types_.services) != written) _exit(4);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!(*opened)->write(std::vector<Write>{insert(*types_.services, id_of(written), {{"x", "y"}})})) _exit(5);
    if (*(*opened)->count(*types_.services) != written + 1) _exit(6);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  store_ = reopen(types_.catalog());
  EXPECT_GT(*store_->count(*types_.services), 10);
}

}  // namespace
}  // namespace gateway::store::sqlite::testing
