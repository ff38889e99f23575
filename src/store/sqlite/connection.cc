#include "store/sqlite/connection.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace gateway::store::sqlite {
namespace {

constexpr int busy_milliseconds = 10'000;
constexpr int counters_busy_milliseconds = 500;  // requests wait for these
constexpr std::size_t max_statements = 512;

class Category final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "sqlite"; }
  [[nodiscard]] std::string message(int code) const override { return sqlite3_errstr(code); }
};

}  // namespace

const boost::system::error_category& category() noexcept {
  static const Category instance;
  return instance;
}

Error invalid(std::string doing) { return Error{make_error_code(boost::system::errc::invalid_argument), Origin::gateway, std::move(doing)}; }

Statement::Statement(Connection& connection, std::string_view sql, Prepare) : connection_(connection) {
  if (const auto found = connection.statements_.find(sql); found != connection.statements_.end()) {
    auto node = connection.statements_.extract(found);
    sql_ = std::move(node.key());
    handle_ = node.mapped();
    return;
  }
  sql_ = sql;
  const int size = static_cast<int>(sql_.size());
  note(sqlite3_prepare_v3(connection.handle_, sql_.data(), size, SQLITE_PREPARE_PERSISTENT, &handle_, nullptr));
}

Statement::~Statement() {
  if (handle_ == nullptr) return;
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
  // Texts vary with the number of tags asked for: a client must not make the cache grow for ever.
  if (connection_.statements_.size() >= max_statements || !connection_.statements_.emplace(std::move(sql_), handle_).second) {
    sqlite3_finalize(handle_);
  }
}

void Statement::note(int code) {
  if (failed_ == SQLITE_OK) failed_ = code;
}

void Statement::bind(std::nullptr_t) { note(sqlite3_bind_null(handle_, ++bound_)); }
void Statement::bind(std::int64_t value) { note(sqlite3_bind_int64(handle_, ++bound_, value)); }
void Statement::bind(std::string_view text) {
  // A null pointer would bind NULL, and a default string_view has one.
  const char* data = text.data() == nullptr ? "" : text.data();
  note(sqlite3_bind_text64(handle_, ++bound_, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}
void Statement::bind(const Uuid& id) { note(sqlite3_bind_blob(handle_, ++bound_, id.bytes.data(), static_cast<int>(id.bytes.size()), SQLITE_TRANSIENT)); }

Result<bool> Statement::step() {
  if (failed_ != SQLITE_OK) return connection_.error(failed_, sql_);
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return connection_.error(code, sql_);
}

Status Statement::finish() {
  for (;;) {
    const Result<bool> row = step();
    if (!row) return row.error();
    if (!*row) return {};
  }
}

std::optional<std::int64_t> Statement::maybe_integer(int column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

std::string_view Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

Uuid Statement::uuid(int column) const {
  Uuid id;
  const void* data = sqlite3_column_blob(handle_, column);
  if (data != nullptr && sqlite3_column_bytes(handle_, column) == static_cast<int>(id.bytes.size())) {
    std::memcpy(id.bytes.data(), data, id.bytes.size());
  }
  return id;
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Use use) {
  if (use == Use::durable_writes) {
    // Rows hold credentials. SQLite would create the file for everyone to read, and gives the files it puts
    // beside it the permissions of the first. When this fails, so will SQLite, with the better message.
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) ::close(file);
  }
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (handle == nullptr) return Error{{code, category()}, Origin::gateway, "opening " + path};
  std::unique_ptr<Connection> connection(new Connection(handle, path));
  if (code != SQLITE_OK) return connection->error(code, "open");
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, use == Use::relaxed_writes ? counters_busy_milliseconds : busy_milliseconds);

  if (use == Use::durable_writes) {
    if (const Status done = connection->use_wal(); !done) return done.error();
  }
  // FULL syncs the log at every commit: what was acknowledged survives the loss of power. NORMAL does not, yet
  // keeps the file sound.
  const char* const mode = use == Use::durable_writes ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL";
  for (const char* const pragma : {mode, "PRAGMA foreign_keys=ON", "PRAGMA journal_size_limit=67108864"}) {
    if (const Status done = connection->execute(pragma); !done) return done.error();
  }
  if (use == Use::reads) {
    if (const Status done = connection->execute("PRAGMA query_only=ON"); !done) return done.error();
  }
  return connection;
}

Status Connection::use_wal() {
  // The busy timeout does not apply to the change of mode, which two starting processes may do at once.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(busy_milliseconds);
  for (;;) {
    Statement statement(*this, "PRAGMA journal_mode=WAL");
    const Result<bool> row = statement.step();
    if (row) {
      if (*row && statement.text(0) == "wal") return {};
      return invalid(fmt::format("opening {}: it cannot have a write-ahead log", path_));
    }
    const bool busy = (row.error().code.value() & 0xFF) == SQLITE_BUSY;
    if (!busy || std::chrono::steady_clock::now() > deadline) return row.error();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Error Connection::error(int code, std::string_view sql) const {
  // Values are bound, never spelled out: the text holds no secrets.
  return Error{{code, category()}, Origin::gateway, fmt::format("database {}: {}, in \"{}\"", path_, sqlite3_errmsg(handle_), sql)};
}

Status Connection::check_in_place() const {
  int moved = 0;
  if (sqlite3_file_control(handle_, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || moved == 0) return {};
  return Error{{SQLITE_READONLY_DBMOVED, category()}, Origin::gateway, fmt::format("database {}: the file was moved or removed while in use", path_)};
}

Transaction::~Transaction() {
  // Some failures have rolled back already. Nothing can be done should this one fail: the next transaction will
  // not begin then, and its error says so.
  if (connection_.in_transaction()) static_cast<void>(connection_.execute("ROLLBACK"));
}

}  // namespace gateway::store::sqlite
