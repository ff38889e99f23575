#include "store/sqlite/sqlite_store.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/migration.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/table.h"
#include "store/sqlite/writer.h"

namespace gateway::store::sqlite {
namespace {

/// As many connections as read at a time, up to a limit.
class ReaderPool {
 public:
  explicit ReaderPool(std::string path) : path_(std::move(path)) {}

  /// A connection that goes back to its pool.
  class Lease {
   public:
    Lease(ReaderPool& pool, std::unique_ptr<Connection> connection) : pool_(&pool), connection_(std::move(connection)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (connection_) pool_->give_back(std::move(connection_));
    }
    [[nodiscard]] Connection& operator*() const noexcept { return *connection_; }

   private:
    ReaderPool* pool_;
    std::unique_ptr<Connection> connection_;
  };

  Result<Lease> take() {
    {
      std::unique_lock lock(mutex_);
      returned_.wait(lock, [&] { return !idle_.empty() || opened_ < limit; });
      if (!idle_.empty()) {
        Lease lease(*this, std::move(idle_.back()));
        idle_.pop_back();
        return lease;
      }
      ++opened_;
    }
    auto connection = Connection::open(path_, Connection::Use::reads);
    if (connection) return Lease(*this, std::move(*connection));
    const std::lock_guard lock(mutex_);
    --opened_;
    returned_.notify_one();
    return connection.error();
  }

 private:
  static constexpr std::size_t limit = 16;

  void give_back(std::unique_ptr<Connection> connection) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
    returned_.notify_one();
  }

  std::string path_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::size_t opened_ = 0;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(const std::string& path, std::unique_ptr<Connection> writer, std::unique_ptr<Connection> counters)
      : readers_(path), writer_(std::move(writer)), counters_(std::move(counters)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "sqlite"; }

  Status migrate(const entity::Catalog& catalog) override {
    Result<Tables> tables = Tables::of(catalog);
    if (!tables) return tables.error();
    const std::lock_guard lock(writing_);
    if (Status done = sqlite::migrate(*writer_, *tables); !done) return done;
    tables_ = std::move(*tables);
    return {};
  }

  Result<std::optional<Json>> get(const entity::Type& type, const Uuid& id) override {
    return reading([&](Reader& reader) { return reader.get(type, id); });
  }
  Result<std::optional<Json>> find(const entity::Type& type, std::string_view field, std::string_view value) override {
    return reading([&](Reader& reader) { return reader.find(type, field, value); });
  }
  Result<std::optional<Json>> find_by_cache_key(const entity::Type& type, const Json& key) override {
    return reading([&](Reader& reader) { return reader.find_by_cache_key(type, key); });
  }
  Result<Page> page(const entity::Type& type, const PageRequest& request) override {
    return reading([&](Reader& reader) { return reader.page(type, request); });
  }
  Result<std::int64_t> count(const entity::Type& type) override {
    return reading([&](Reader& reader) { return reader.count(type); });
  }
  Result<std::vector<Tagged>> tagged(std::optional<std::string_view> tag, std::size_t size, std::size_t skip) override {
    return reading([&](Reader& reader) { return reader.tagged(tag, size, skip); });
  }
  Result<std::int64_t> last_change() override {
    const Result<ReaderPool::Lease> lease = readers_.take();
    if (!lease) return lease.error();
    // Whoever asks whether the datastore is well hears that nothing can be written to it.
    if (const Status there = (**lease).check_in_place(); !there) return there.error();
    return Reader(**lease, tables_, now_milliseconds()).last_change();
  }
  Result<std::vector<Change>> changes_after(std::int64_t sequence, std::size_t limit) override {
    return reading([&](Reader& reader) { return reader.changes_after(sequence, limit); });
  }
  Result<std::int64_t> counter(std::string_view counter) override {
    return reading([&](Reader& reader) { return reader.counter(counter); });
  }
  Result<std::optional<std::string>> parameter(std::string_view key) override {
    return reading([&](Reader& reader) { return reader.parameter(key); });
  }

  Result<Outcome> write(std::span<const Write> writes) override {
    const std::lock_guard lock(writing_);
    if (const Status there = writer_->check_in_place(); !there) return there.error();
    Transaction transaction(*writer_);
    if (const Status begun = transaction.begin_write(); !begun) return begun.error();
    // The time is taken once the lock is had, which another process may have held for long.
    Writer writer(*writer_, tables_, now_milliseconds());
    for (const Write& each : writes) {
      Writer::Check check = writer.apply(each);
      if (!check) return check.error();
      if (*check) return Outcome(std::move(**check));
    }
    if (const Status done = writer.prune(); !done) return done.error();
    if (const Status done = transaction.commit(); !done) return done.error();
    return Outcome(std::move(writer.changes()));
  }

  Result<std::int64_t> increment(std::string_view counter, std::int64_t by, std::chrono::seconds ttl) override {
    // Until a time of day: TSan does not follow waits by the steady clock.
    const std::unique_lock lock(writing_, System::now() + counting_patience);
    const auto tried = std::chrono::steady_clock::now();
    if (!lock || tried < counting_again_) return locked();
    const std::int64_t now = now_milliseconds();
    std::int64_t value = 0;
    // One statement is its own transaction, which ends when it does.
    Statement statement(*counters_,
                        "INSERT INTO counters (name, value, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET "
                        "value = excluded.value + iif(expires_at <= ?4, 0, value), "
                        "expires_at = iif(expires_at <= ?4, excluded.expires_at, expires_at) RETURNING value",
                        counter, by, ends_at(now, ttl.count()), now);
    const Result<bool> row = statement.step();
    if (!row) {
      if ((row.error().code.value() & 0xFF) == SQLITE_BUSY) counting_again_ = std::chrono::steady_clock::now() + counting_patience;
      return row.error();
    }
    value = statement.integer(0);
    if (const Status done = statement.finish(); !done) return done.error();
    return value;
  }

  Status set_parameter(std::string_view key, std::string_view value) override {
    const std::lock_guard lock(writing_);
    if (const Status there = writer_->check_in_place(); !there) return there;
    return writer_->execute("INSERT OR REPLACE INTO parameters (name, value) VALUES (?, ?)", key, value);
  }

  Status expire() override {
    const std::int64_t now = now_milliseconds();
    // In small steps: writers wait no longer than one of them takes.
    constexpr std::size_t step = 1000;
    for (std::size_t removed = step; removed == step;) {
      const std::lock_guard lock(writing_);
      Transaction transaction(*writer_);
      if (const Status begun = transaction.begin_write(); !begun) return begun;
      const Result<std::size_t> rows = Writer(*writer_, tables_, now).expire(step);
      if (!rows) return rows.error();
      removed = *rows;
      if (const Status done = writer_->execute("DELETE FROM counters WHERE expires_at <= ?", now); !done) return done;
      if (const Status done = transaction.commit(); !done) return done;
    }
    return {};
  }

 private:
  template <class F>
  auto reading(F&& read) -> decltype(read(std::declval<Reader&>())) {
    const Result<ReaderPool::Lease> lease = readers_.take();
    if (!lease) return lease.error();
    Reader reader(**lease, tables_, now_milliseconds());
    return read(reader);
  }

  Tables tables_;
  ReaderPool readers_;
  // Requests wait for counters, and there are many: while somebody else has the database locked they are told
  // so soon, not one after the other.
  static constexpr std::chrono::milliseconds counting_patience{500};
  static Error locked() { return {{SQLITE_BUSY, category()}, Origin::gateway, "counting: the database is locked"}; }

  // SQLite has one writer at a time; waiting for it here is fair and wakes at once, its own waiting is neither.
  std::timed_mutex writing_;
  std::chrono::steady_clock::time_point counting_again_;  // before that it is not tried
  std::unique_ptr<Connection> writer_;
  std::unique_ptr<Connection> counters_;  // shares the lock
};

}  // namespace

Result<std::unique_ptr<Store>> open(const std::string& path) {
  auto writer = Connection::open(path, Connection::Use::durable_writes);
  if (!writer) return writer.error();
  auto counters = Connection::open(path, Connection::Use::relaxed_writes);
  if (!counters) return counters.error();
  return std::unique_ptr<Store>(std::make_unique<SqliteStore>(path, std::move(*writer), std::move(*counters)));
}

}  // namespace gateway::store::sqlite
