#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace gateway {

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  // value() on a failed Result is a defect: going on would serve from garbage.
  std::fprintf(stderr, "%s:%u: unchecked failure: %s\n", where.file_name(), where.line(), error.to_string().c_str());
  std::abort();
}

}  // namespace gateway
