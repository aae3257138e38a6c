#include "tools/kyuu/find/find_command.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "nlohmann/json.hpp"
#include "signaling/client.h"
#include "tools/kyuu/overload.h"
#include "tools/kyuu/page_url.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/room_secret.h"
#include "tools/kyuu/server_line.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

class Finder {
 public:
  explicit Finder(const FindOptions& options) : options_(options) {}

  absl::Status Run();

 private:
  void OnEvent(signaling::Client::Event event);
  void Join();
  void Ask(const std::string& after);
  void Print(const std::vector<signaling::Peer>& peers);
  // Asks again when the server lets us.
  void Wait(const signaling::Error& error);
  void End(absl::Status status);

  const FindOptions& options_;
  SystemRandom random_;
  PageUrl page_;
  std::string secret_;
  std::string meta_;   // Of those whom we look for.
  std::string after_;  // Where we are.
  size_t found_ = 0;
  absl::Status status_;
  bool ended_ = false;
  std::unique_ptr<net::Loop> loop_;
  std::optional<net::Alarm> again_;
  // Whatever the server answers, pages without end or "later" for ever.
  std::optional<net::Alarm> deadline_;
  std::optional<ServerLine> server_;
};

absl::Status Finder::Run() {
  KYUU_ASSIGN_OR_RETURN(page_, PageUrl::Parse(options_.url));
  KYUU_ASSIGN_OR_RETURN(meta_, MetaOf(options_.where));
  KYUU_ASSIGN_OR_RETURN(secret_, ReadRoomSecret(options_.room_secret_file));
  KYUU_ASSIGN_OR_RETURN(loop_, net::Loop::Create());
  again_.emplace(*loop_, [this] {
    Ask(after_);
    server_->Flush();
  });
  deadline_.emplace(*loop_, [this] {
    End(absl::DeadlineExceededError(
        absl::StrCat("the server has not said who is there within ",
                     options_.timeout_s, " s (--timeout)")));
  });
  deadline_->Set(net::Loop::Now() + absl::Seconds(options_.timeout_s));
  server_.emplace(
      *loop_, random_, page_.url, options_.token_file,
      [this](signaling::Client::Event event) { OnEvent(std::move(event)); });
  KYUU_RETURN_IF_ERROR(server_->Connect());
  loop_->Run();
  if (status_.ok() && found_ == 0) {
    return absl::NotFoundError("nobody of that kind is there");
  }
  return status_;
}

void Finder::OnEvent(signaling::Client::Event event) {
  std::visit(
      Overload{
          [&](signaling::Ready&) { Join(); },
          [&](signaling::JoinedRoom&) { Ask(""); },
          [&](signaling::JoinFailed& failed) { End(failed.status); },
          [&](signaling::PeersFound& found) {
            Print(found.peers);
            found.after.empty() ? End(absl::OkStatus()) : Ask(found.after);
          },
          [&](signaling::ErrorReceived& received) { Wait(received.error); },
          [&](signaling::ConnectionLost& lost) { End(lost.status); },
          [&](signaling::ClientClosed& closed) { End(closed.status); },
          [](auto&) {},
      },
      event);
}

void Finder::End(absl::Status status) {
  if (std::exchange(ended_, true)) return;
  status_ = std::move(status);
  // Behind the event that it is told by.
  loop_->Post([this] {
    again_->Stop();
    deadline_->Stop();
    server_->Close([this] { loop_->Stop(); });
  });
}

void Finder::Join() {
  const absl::Status status = server_->client()->JoinRoom(
      net::Loop::Now(), options_.name,
      options_.room.empty() ? page_.room : options_.room,
      R"({"app":"kyuu","kind":"cli"})", secret_);
  if (!status.ok()) End(status);
}

void Finder::Ask(const std::string& after) {
  after_ = after;
  if (server_->client() == nullptr) return;  // It will say why.
  const absl::Status status =
      server_->client()->Find(net::Loop::Now(), options_.prefix, meta_, after_);
  if (!status.ok()) End(status);
}

void Finder::Wait(const signaling::Error& error) {
  if (error.code != signaling::ErrorCode::kRateLimited) {
    return End(absl::UnknownError(error.message));
  }
  again_->Set(net::Loop::Now() + error.retry_after);
}

void Finder::Print(const std::vector<signaling::Peer>& peers) {
  found_ += peers.size();
  for (const signaling::Peer& peer : peers) {
    if (options_.json) {
      const json meta = json::parse(peer.meta, nullptr, false);
      const json line = {{"name", peer.name},
                         {"meta", meta.is_object() ? meta : json::object()}};
      std::printf(
          "%s\n",
          line.dump(-1, ' ', true, json::error_handler_t::replace).c_str());
      continue;
    }
    std::printf("%s  %s\n", PrintableLine(peer.name).c_str(),
                PrintableLine(peer.meta).c_str());
  }
  std::fflush(stdout);
}

}  // namespace

absl::StatusOr<std::string> MetaOf(const std::vector<std::string>& where) {
  json meta = json::object();
  for (const std::string& text : where) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("not MEMBER=VALUE: ", text));
    }
    const std::string member = text.substr(0, equals);
    const std::string value = text.substr(equals + 1);
    json parsed = json::parse(value, nullptr, false);
    if (parsed.is_discarded() || parsed.is_structured()) parsed = value;
    if (!meta.emplace(member, std::move(parsed)).second) {
      return absl::InvalidArgumentError(absl::StrCat(member, " stands twice"));
    }
  }
  return meta.dump(-1, ' ', true, json::error_handler_t::replace);
}

void AddFind(CLI::App& app, FindOptions& options) {
  CLI::App* command =
      app.add_subcommand("find", "Who is in a room, by name and metadata");
  command
      ->add_option("url", options.url,
                   "The server: ws://HOST:PORT or the address of its page")
      ->required();
  command->add_option("prefix", options.prefix, "How the name begins");
  command
      ->add_option("--where", options.where,
                   "What the metadata says: MEMBER=VALUE; repeatable")
      ->type_name("MEMBER=VALUE")
      ->allow_extra_args(false);
  command->add_option("--room", options.room, "Room to look in");
  command
      ->add_option("--room-secret-file", options.room_secret_file,
                   "A file with the room's secret")
      ->type_name("FILE");
  command
      ->add_option("--token-file", options.token_file,
                   "A file with the token, or API key, that lets us in")
      ->type_name("FILE");
  command->add_option("--name", options.name,
                      "Our name while we look; the user's by default");
  command->add_flag("--json", options.json, "A JSON object for each");
  command
      ->add_option("--timeout", options.timeout_s,
                   "Seconds that the server may take")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 3600));
}

int RunFind(const FindOptions& options) {
  const absl::Status status = Finder(options).Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "kyuu: %s\n", PrintableLine(status.message()).c_str());
  return 1;
}

}  // namespace kyuu::tools
