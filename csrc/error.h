// The one exception type of the core; api.h turns it into a status code and a text.
#ifndef BIFAST_ERROR_H_
#define BIFAST_ERROR_H_

#include <exception>
#include <string>
#include <utility>

#include "bifast.h"

namespace bifast {

class Error : public std::exception {
 public:
  Error(bifast_status code, std::string message) : status(code), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

  const bifast_status status;  // never BIFAST_OK

 private:
  std::string message_;
};

[[noreturn]] inline void fail_format(std::string message) {
  throw Error(BIFAST_BAD_FORMAT, std::move(message));
}
[[noreturn]] inline void fail_argument(std::string message) {
  throw Error(BIFAST_INVALID_ARGUMENT, std::move(message));
}

}  // namespace bifast

#endif  // BIFAST_ERROR_H_
