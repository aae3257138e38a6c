#include "tools/kyuud/admin/admin_client.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "net/unix_socket.h"
#include "nlohmann/json.hpp"
#include "tools/kyuud/config_file.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;
using Verb = AdminCommand::Verb;
using Environment = std::vector<std::pair<std::string, std::string>>;

// A server that says nothing for so long has stopped.
constexpr int kSilenceMilliseconds = 30'000;

constexpr absl::string_view kUsage =
    "kyuud admin [--config FILE | --socket PATH] [--json] COMMAND\n\n"
    "sessions [--user USER]   lists the allocations there are\n"
    "end SESSION              ends one, by the name that lists and logs have\n"
    "end --user USER          ends all of a user\n"
    "reload                   reads the configuration again, as SIGHUP\n"
    "drain                    makes no new allocations, and ends after the "
    "last "
    "one\n"
    "status                   tells what the server does\n";

// The socket of the settings.
absl::StatusOr<std::string> SocketOf(std::string file,
                                     const Environment& environment) {
  std::string socket;
  for (const auto& [name, value] : environment) {
    if (file.empty() && name == "KYUU_CONFIG") file = value;
    if (name == "KYUU_ADMIN_SOCKET") socket = value;
  }
  if (socket.empty() && !file.empty()) {
    const auto found = FindInConfigFile(file, "admin", "socket");
    if (!found.ok()) return found.status();
    socket = *found;
  }
  if (!socket.empty()) return socket;
  return absl::NotFoundError(
      "which socket? Neither --socket nor the settings name one ([admin] "
      "socket)");
}

Exit Wrong(absl::string_view what) {
  return {2, absl::StrCat("kyuud admin: ", what, "\n\n", kUsage)};
}

std::string Shown(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::vector<std::string> texts;
  for (const json& element : value) texts.push_back(Shown(element));
  return texts.empty() ? "-" : absl::StrJoin(texts, ", ");
}

std::string Seconds(const json& value) {
  return absl::FormatDuration(
      absl::Trunc(absl::Seconds(value.get<double>()), absl::Seconds(1)));
}

std::string SessionRow(const json& session) {
  return absl::StrFormat(
      "%-16s  %-20s  %-4s  %-22s  %-22s  %9s  %9s  %12d  %12d  %3d\n",
      Shown(session.at("session")), Shown(session.at("user")),
      Shown(session.at("transport")), Shown(session.at("client")),
      Shown(session.at("relay")), Seconds(session.at("age")),
      Seconds(session.at("lifetime")),
      session.at("bytes_to_peers").get<uint64_t>(),
      session.at("bytes_to_client").get<uint64_t>(),
      session.at("permissions").get<uint64_t>());
}

std::string SessionHead() {
  return absl::StrFormat(
      "%-16s  %-20s  %-4s  %-22s  %-22s  %9s  %9s  %12s  %12s  %3s\n",
      "SESSION", "USER", "BY", "CLIENT", "RELAY", "AGE", "LEFT", "TO PEERS",
      "TO CLIENT", "MAY");
}

// Writes all of `text`, and hands the lines that come to `line` until it is
// false.
template <typename F>
absl::Status Exchange(net::TcpStream& stream, const std::string& text, F line) {
  const absl::Status written = stream.Write(absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  if (!written.ok()) return written;
  std::string buffer;
  std::array<uint8_t, 64 * 1024> bytes;
  while (true) {
    const net::ReadResult got = stream.Read(absl::MakeSpan(bytes));
    if (got.state == net::ReadState::kFailed) return stream.status();
    if (got.state == net::ReadState::kEnd) {
      return absl::UnavailableError("the server has gone without an answer");
    }
    if (got.state == net::ReadState::kWouldBlock) {
      stream.Flush();
      const bool writes = stream.interest() == net::Interest::kReadWrite;
      pollfd ready{stream.fd(),
                   static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0};
      if (poll(&ready, 1, kSilenceMilliseconds) == 0) {
        return absl::DeadlineExceededError("the server does not answer");
      }
      continue;
    }
    buffer.append(bytes.begin(),
                  bytes.begin() + static_cast<std::ptrdiff_t>(got.bytes));
    size_t begin = 0;
    for (size_t end; (end = buffer.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      if (!line(absl::string_view(buffer).substr(begin, end - begin))) {
        return absl::OkStatus();
      }
    }
    buffer.erase(0, begin);
  }
}

}  // namespace

std::variant<AdminRequest, Exit> ReadAdminRequest(
    std::vector<std::string> arguments, const Environment& environment) {
  AdminRequest request;
  std::string file, user;
  std::vector<std::string> words;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--help") return Exit{0, std::string(kUsage)};
    if (arguments[i] == "--json") {
      request.form = AdminRequest::Form::kJson;
      continue;
    }
    std::string* value = nullptr;
    for (const auto& [flag, into] :
         {std::pair<absl::string_view, std::string*>("--config", &file),
          {"--socket", &request.socket},
          {"--user", &user}}) {
      if (arguments[i] == flag) value = into;
      if (!absl::StartsWith(arguments[i], absl::StrCat(flag, "="))) continue;
      *into = arguments[i].substr(flag.size() + 1);
      arguments[i].clear();
    }
    if (arguments[i].empty()) continue;
    if (value == nullptr) {
      words.push_back(arguments[i]);
      continue;
    }
    if (++i == arguments.size()) return Wrong("a flag lacks its value");
    *value = arguments[i];
  }
  if (words.empty()) return Wrong("it needs a command");
  if (words[0] == "end" && !user.empty()) words[0] = "end-user";
  if (!user.empty()) words.push_back(user);
  absl::StatusOr<AdminCommand> command =
      AdminCommand::Parse(absl::StrJoin(words, " "));
  if (!command.ok()) return Wrong(command.status().message());
  request.command = *std::move(command);
  if (request.socket.empty()) {
    absl::StatusOr<std::string> socket = SocketOf(file, environment);
    if (!socket.ok()) return Wrong(socket.status().message());
    request.socket = *std::move(socket);
  }
  return request;
}

std::string AdminTable::Add(absl::string_view line) {
  try {
    return Text(line);
  } catch (const json::exception&) {  // Of whom it is not known what he speaks.
    finished_ = true;
    error_ = "what it answers is not understood";
    return "";
  }
}

std::string AdminTable::Text(absl::string_view line) {
  const json value = json::parse(line);
  if (!value.contains("ok")) {
    const std::string head = headed_ ? "" : SessionHead();
    headed_ = true;
    return head + SessionRow(value);
  }
  finished_ = true;
  if (!value["ok"].get<bool>()) {
    error_ = Shown(value["error"]);
    return "";
  }
  std::string text;
  for (const auto& [name, element] : value.items()) {
    if (name == "ok") continue;
    if (verb_ == Verb::kSessions) continue;  // They are there to see.
    absl::StrAppend(&text, name, ": ",
                    name == "uptime" ? Seconds(element) : Shown(element), "\n");
  }
  return text;
}

int RunAdmin(const AdminRequest& request) {
  absl::StatusOr<net::TcpStream> stream = net::ConnectUnix(request.socket);
  absl::Status status = stream.status();
  AdminTable table(request.command.verb);
  if (status.ok()) {
    status =
        Exchange(*stream, request.command.ToString() + "\n",
                 [&](absl::string_view line) {
                   const std::string text = table.Add(line);
                   const absl::string_view shown =
                       request.form == AdminRequest::Form::kJson ? line : text;
                   std::fwrite(shown.data(), 1, shown.size(), stdout);
                   if (request.form == AdminRequest::Form::kJson)
                     std::putchar('\n');
                   return !table.finished();
                 });
  }
  std::fflush(stdout);
  if (status.ok() && !table.error().empty()) {
    status = absl::InvalidArgumentError(table.error());
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "kyuud admin: %s\n",
               std::string(status.message()).c_str());
  return 1;
}

}  // namespace kyuu::tools
