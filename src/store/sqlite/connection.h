#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/result.h"
#include "base/uuid.h"

namespace gateway::store::sqlite {

/// SQLite's (extended) result codes as error codes.
const boost::system::error_category& category() noexcept;

/// A call that cannot be carried out as asked, or a database that does not hold what it should.
Error invalid(std::string doing);

class Connection;

/// One run of a prepared statement: bind, step, read columns. Borrowed from its connection's cache, and given
/// back when it goes. Whatever fails before the first step is reported by that step.
class Statement {
 public:
  /// Binds `values` in order, `?` by `?`.
  template <class... Values>
  Statement(Connection& connection, std::string_view sql, const Values&... values) : Statement(connection, sql, Prepare{}) {
    (bind(values), ...);
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  void bind(std::nullptr_t);
  void bind(std::int64_t value);
  void bind(std::string_view text);
  void bind(const Uuid& id);
  template <class T>
  void bind(const std::optional<T>& value) {
    if (value) {
      bind(*value);
    } else {
      bind(nullptr);
    }
  }

  Result<bool> step();  ///< whether there is a row
  Status finish();      ///< steps to the end

  [[nodiscard]] bool is_null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
  [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  [[nodiscard]] std::optional<std::int64_t> maybe_integer(int column) const;
  [[nodiscard]] std::string_view text(int column) const;  ///< valid until the next step
  [[nodiscard]] Uuid uuid(int column) const;              ///< nil when it is none

 private:
  struct Prepare {};
  Statement(Connection& connection, std::string_view sql, Prepare);
  void note(int code);

  Connection& connection_;
  std::string sql_;
  sqlite3_stmt* handle_ = nullptr;
  int bound_ = 0;
  int failed_ = SQLITE_OK;
};

/// One connection to the file, for one thread at a time. Keeps the statements it has prepared.
class Connection {
 public:
  enum class Use { durable_writes, relaxed_writes, reads };

  static Result<std::unique_ptr<Connection>> open(const std::string& path, Use use);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// Runs a statement whose rows are of no interest.
  template <class... Values>
  Status execute(std::string_view sql, const Values&... values) {
    return Statement(*this, sql, values...).finish();
  }

  [[nodiscard]] Error error(int code, std::string_view sql) const;
  /// Errors: the file is not the one at its path any more. SQLite would go on with it, and whatever is written
  /// then is lost with the last process that has it open.
  [[nodiscard]] Status check_in_place() const;
  [[nodiscard]] bool in_transaction() const noexcept { return sqlite3_get_autocommit(handle_) == 0; }
  [[nodiscard]] std::int64_t last_insert() const noexcept { return sqlite3_last_insert_rowid(handle_); }

 private:
  friend class Statement;

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };

  Connection(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  Status use_wal();

  sqlite3* handle_;
  std::string path_;
  // Statements at rest; one that is running is not in here, so that the same text may run twice at a time.
  std::unordered_map<std::string, sqlite3_stmt*, TextHash, std::equal_to<>> statements_;
};

/// Rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(Connection& connection) : connection_(connection) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  Status begin_write() { return connection_.execute("BEGIN IMMEDIATE"); }
  Status begin_read() { return connection_.execute("BEGIN"); }
  Status commit() { return connection_.execute("COMMIT"); }

 private:
  Connection& connection_;
};

}  // namespace gateway::store::sqlite
