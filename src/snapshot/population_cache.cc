#include "snapshot/population_cache.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <cassert>
#include <coroutine>
#include <unordered_map>

#include "base/log.h"
#include "snapshot/bounded_map.h"

namespace gateway::snapshot {
namespace {

using Value = plugin::PopulationIndex::Value;

struct Entry {
  Value value;
  Steady::time_point expires = Steady::time_point::max();
  bool stale = false;  // changed since; good only while the datastore is down

  [[nodiscard]] bool fresh() const { return !stale && (expires == Steady::time_point::max() || Steady::now() < expires); }
};

using Entries = BoundedMap<Entry>;

// Texts of this length are no keys of anybody's: remembering that they do not exist would let whoever sends
// them fill the memory.
constexpr std::size_t longest_absent = 512;

// Threads number themselves as they come, so that each finds its own level without a lock; a number whose
// thread has ended goes to the next one.
constexpr std::size_t max_threads = 256;

class ThreadNumber {
 public:
  ThreadNumber() {
    const std::lock_guard lock(mutex());
    while (number_ < max_threads && used()[number_]) ++number_;
    assert(number_ < max_threads);
    used()[number_] = true;
  }
  ~ThreadNumber() {
    const std::lock_guard lock(mutex());
    used()[number_] = false;
  }
  [[nodiscard]] std::size_t get() const noexcept { return number_; }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static std::bitset<max_threads>& used() {
    static std::bitset<max_threads> bits;
    return bits;
  }
  std::size_t number_ = 0;
};

std::size_t this_thread() {
  static thread_local const ThreadNumber number;
  return number.get();
}

// The same value counted apart: requests of one worker then never write where another's count.
Value counted_here(const Value& value) {
  return value ? Value(value.get(), [value](const void*) {}) : value;
}

void keep(Entries& entries, std::string key, Entry entry) {
  if (entry.value == nullptr && key.size() > longest_absent) return;
  entries.put(std::move(key), std::move(entry));
}

// The text by which rows are found: a plain field, or the id inside a foreign one.
std::string field_text(const nlohmann::json& row, const std::string& field) {
  if (!row.is_object()) return {};
  const auto found = row.find(field);
  if (found == row.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("id") && (*found)["id"].is_string()) return (*found)["id"].get<std::string>();
  return {};
}

struct Flight {
  struct Waiter {
    Executor* home;
    std::coroutine_handle<> handle;
  };
  std::vector<Waiter> waiters;
  Result<Value> result = Value();
};

}  // namespace

class PopulationCache::Index final : public plugin::PopulationIndex {
 public:
  Index(PopulationCache& cache, const entity::Type& type, std::string field, Parse parse)
      : cache_(cache), type_(type), field_(std::move(field)), parse_(parse), shared_(cache.limits_.per_node) {
    for (Entries& each : local_) each.set_limit(cache.limits_.per_worker);
  }

  [[nodiscard]] const entity::Type& type() const { return type_; }
  [[nodiscard]] const std::string& field() const { return field_; }
  [[nodiscard]] Parse parse() const { return parse_; }

  const Value* peek(std::string_view value, const Digest& digest) override {
    const Entry* found = local_[this_thread()].find(value, digest);
    return found != nullptr && found->fresh() ? &found->value : nullptr;
  }

  Task<Result<Value>> load(std::string value) override {
    const std::uint64_t generation = generation_.load();
    Joined joined{*this, value, generation, {}, std::make_shared<Flight>()};
    co_await joined;
    if (!joined.flight->result) co_return joined.flight->result.error();
    if (joined.known.expires != Steady::time_point{} && generation == generation_.load()) {
      Entry own = joined.known;
      own.value = counted_here(own.value);
      keep(local_[this_thread()], std::move(value), std::move(own));
    }
    co_return *joined.flight->result;
  }

  // Any thread; the worker's own level is dropped by forget_here, posted to it.
  void forget(const std::string& value, bool gone) {
    const std::lock_guard lock(mutex_);
    ++generation_;
    if (gone) {
      shared_.erase(value);
    } else if (Entry* found = shared_.find(value)) {
      found->stale = true;
    }
  }
  void forget_here(const std::string& value) { local_[this_thread()].erase(value); }
  void forget_all() {
    const std::lock_guard lock(mutex_);
    ++generation_;
    shared_.clear();
  }
  void forget_all_here() { local_[this_thread()].clear(); }
  bool holds(const std::string& value) {
    const std::lock_guard lock(mutex_);
    const Entry* found = shared_.find(value);
    return found != nullptr && found->fresh() && found->value != nullptr;
  }

 private:
  // Waits for the one load of a value, starting it when nobody has.
  struct Joined {
    Index& index;
    const std::string& value;
    std::uint64_t generation;
    Entry known;
    std::shared_ptr<Flight> flight;

    bool await_ready() {
      known.expires = {};
      const std::lock_guard lock(index.mutex_);
      const Entry* found = index.shared_.find(value);
      if (found == nullptr || !found->fresh()) return false;
      known = *found;
      flight->result = known.value;
      return true;
    }
    bool await_suspend(std::coroutine_handle<> waiting) {
      const Flight::Waiter waiter{Executor::current(), waiting};
      {
        const std::lock_guard lock(index.mutex_);
        if (const auto found = index.flights_.find(value); found != index.flights_.end()) {
          flight = found->second;
          flight->waiters.push_back(waiter);
          return true;
        }
        flight->waiters.push_back(waiter);
        index.flights_.emplace(value, flight);
      }
      index.cache_.pool_.post([&index = index, value = value, generation = generation] { index.fetch(value, generation); });
      return true;
    }
    void await_resume() {
      if (known.expires != Steady::time_point{}) return;
      const std::lock_guard lock(index.mutex_);
      if (const Entry* found = index.shared_.find(value); found != nullptr && found->fresh()) known = *found;
    }
  };

  Result<std::vector<nlohmann::json>> read(const std::string& value) {
    std::vector<nlohmann::json> rows;
    const auto foreign = std::find_if(type_.foreign.begin(), type_.foreign.end(), [&](const auto& each) { return each.field == field_; });
    if (foreign != type_.foreign.end()) {
      const std::optional<Uuid> parent = Uuid::parse(value);
      if (!parent) return rows;
      store::PageRequest request;
      request.size = 1000;
      request.parent_field = field_;
      request.parent = *parent;
      for (bool more = true; more;) {
        Result<store::Page> page = cache_.store_.page(type_, request);
        if (!page) return page.error();
        for (auto& row : page->rows) rows.push_back(std::move(row));
        request.after = page->next;
        more = page->next.has_value();
      }
      return rows;
    }
    Result<std::optional<nlohmann::json>> row = std::optional<nlohmann::json>();
    if (field_ == "id") {
      const std::optional<Uuid> id = Uuid::parse(value);
      if (id) row = cache_.store_.get(type_, *id);
    } else {
      row = cache_.store_.find(type_, field_, value);
    }
    if (!row) return row.error();
    if (*row) rows.push_back(std::move(**row));
    return rows;
  }

  Entry entry_for(const std::vector<nlohmann::json>& rows) const {
    Entry entry;
    if (!rows.empty()) entry.value = parse_(rows);
    const std::chrono::seconds trusted = rows.empty() ? cache_.limits_.negative_ttl : cache_.limits_.ttl;
    if (trusted.count() > 0) entry.expires = Steady::now() + trusted;
    for (const nlohmann::json& row : rows) {
      const auto ttl = row.find("ttl");
      if (ttl == row.end() || !ttl->is_number()) continue;
      entry.expires = std::min(entry.expires, Steady::now() + std::chrono::seconds(ttl->get<std::int64_t>()));
    }
    return entry;
  }

  void fetch(const std::string& value, std::uint64_t generation) {
    Result<std::vector<nlohmann::json>> rows = read(value);
    Entry entry;
    if (rows) entry = entry_for(*rows);
    std::shared_ptr<Flight> flight;
    {
      const std::lock_guard lock(mutex_);
      const auto found = flights_.find(value);
      flight = found->second;
      flights_.erase(found);
      if (rows) {
        flight->result = entry.value;
        // A change that came in between may or may not be in what was read: use it once, keep it not.
        if (generation == generation_.load()) keep(shared_, value, entry);
      } else if (const Entry* old = shared_.find(value)) {
        log::error("reading {} failed, answering from what was known: {}", type_.name, rows.error().to_string());
        flight->result = old->value;
      } else {
        flight->result = rows.error();
      }
    }
    for (const Flight::Waiter& waiter : flight->waiters) {
      if (waiter.home != nullptr) {
        waiter.home->post([handle = waiter.handle] { handle.resume(); });
      } else {
        waiter.handle.resume();
      }
    }
  }

  PopulationCache& cache_;
  const entity::Type& type_;
  std::string field_;
  Parse parse_;
  std::array<Entries, max_threads> local_;  // each touched by its own thread alone
  std::mutex mutex_;                        // of the two below
  Entries shared_;
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
  std::atomic<std::uint64_t> generation_{0};  // moves with every change
};

PopulationCache::PopulationCache(store::Store& store, BlockingPool& pool, const entity::Catalog& catalog, Limits limits)
    : store_(store), pool_(pool), catalog_(catalog), limits_(limits) {}

PopulationCache::~PopulationCache() = default;

plugin::PopulationIndex& PopulationCache::index(std::string_view entity, std::string_view field, Parse parse) {
  const std::lock_guard lock(mutex_);
  for (const auto& each : indexes_) {
    if (each->type().name == entity && each->field() == field && each->parse() == parse) return *each;
  }
  const entity::Type* type = catalog_.find(entity);
  assert(type != nullptr);  // plugins ask for entities of their own or of the core
  indexes_.push_back(std::make_unique<Index>(*this, *type, std::string(field), parse));
  return *indexes_.back();
}

bool PopulationCache::knows(std::string_view entity) const { return catalog_.find(entity) != nullptr; }

void PopulationCache::add_worker(Executor& worker) {
  const std::lock_guard lock(mutex_);
  workers_.push_back(&worker);
  // Its thread may get the number, and so the leavings, of one that has ended.
  for (const auto& each : indexes_) worker.post([index = each.get()] { index->forget_all_here(); });
}

void PopulationCache::remove_worker(Executor& worker) {
  const std::lock_guard lock(mutex_);
  std::erase(workers_, &worker);
}

void PopulationCache::changed(const std::vector<store::Change>& changes) {
  for (const store::Change& change : changes) {
    const std::lock_guard lock(mutex_);
    for (const auto& each : indexes_) {
      if (each->type().name != change.entity) continue;
      std::vector<std::string> values = {field_text(change.before, each->field()), field_text(change.after, each->field())};
      if (each->field() == "id") values = {change.id.to_string()};
      for (const std::string& value : values) {
        if (value.empty()) continue;
        each->forget(value, change.after.is_null());
        for (Executor* worker : workers_) worker->post([index = each.get(), value] { index->forget_here(value); });
      }
    }
  }
}

void PopulationCache::clear() {
  const std::lock_guard lock(mutex_);
  for (const auto& each : indexes_) {
    each->forget_all();
    for (Executor* worker : workers_) worker->post([index = each.get()] { index->forget_all_here(); });
  }
}

bool PopulationCache::holds(std::string_view key) const {
  const std::size_t colon = key.find(':');
  if (colon == std::string_view::npos) return false;
  const std::lock_guard lock(mutex_);
  return std::any_of(indexes_.begin(), indexes_.end(),
                     [&](const auto& each) { return each->type().name == key.substr(0, colon) && each->holds(std::string(key.substr(colon + 1))); });
}

}  // namespace gateway::snapshot
