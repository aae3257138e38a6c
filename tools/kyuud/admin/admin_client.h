// `kyuud admin`: an operator's words to a kyuud that runs.

#ifndef KYUU_TOOLS_KYUUD_ADMIN_ADMIN_CLIENT_H_
#define KYUU_TOOLS_KYUUD_ADMIN_ADMIN_CLIENT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/kyuud/admin/admin_connection.h"
#include "tools/kyuud/config.h"

namespace kyuu::tools {

// What is asked, of whom, and how it is shown.
struct AdminRequest {
  std::string socket;
  AdminCommand command;
  // For people, or the lines as they come.
  enum class Form : uint8_t { kText, kJson };
  Form form = Form::kText;
};

// ReadAdminRequest reads what follows "kyuud admin". The socket is named by
// --socket, or by the settings (--config, KYUU_CONFIG, KYUU_ADMIN_SOCKET). An
// Exit says how it is used, or what is wrong.
std::variant<AdminRequest, Exit> ReadAdminRequest(
    std::vector<std::string> arguments,
    const std::vector<std::pair<std::string, std::string>>& environment);

// RunAdmin asks, and prints the answer as it comes. 0; 1 if it cannot be done,
// or nobody answers, with the reason on stderr.
int RunAdmin(const AdminRequest& request);

// AdminTable turns the lines of an answer into text for people.
class AdminTable {
 public:
  explicit AdminTable(AdminCommand::Verb verb) : verb_(verb) {}

  // The text of one line, perhaps "". What is wrong goes to error().
  std::string Add(absl::string_view line);
  // Whether the last line has come.
  bool finished() const { return finished_; }
  const std::string& error() const { return error_; }

 private:
  std::string Text(absl::string_view line);

  const AdminCommand::Verb verb_;
  bool headed_ = false;
  bool finished_ = false;
  std::string error_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_ADMIN_ADMIN_CLIENT_H_
