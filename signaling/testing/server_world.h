// A signaling server in memory, and what its clients see of it.

#ifndef KYUU_SIGNALING_TESTING_SERVER_WORLD_H_
#define KYUU_SIGNALING_TESTING_SERVER_WORLD_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "nlohmann/json.hpp"
#include "signaling/server.h"

namespace kyuu::signaling {

// ServerWorld knows clients by the number of their connection. Presence is told
// at once: most tests are about what is told.
struct ServerWorld {
  // `admission`, if any, must outlive it.
  explicit ServerWorld(ServerOptions options = {},
                       Admission* admission = nullptr, uint64_t seed = 7);

  // Each client has an address of its own.
  static IpAddress Address(int id);
  void Connect(int id);
  // What `id` says, as text or as a message; all that follows is in `sent`.
  void Say(int id, const std::string& text);
  void Send(int id, const nlohmann::json& message) { Say(id, message.dump()); }
  // Says it, and returns the only answer to `id`, or the first one.
  nlohmann::json Ask(int id, const std::string& text);
  nlohmann::json Request(int id, const nlohmann::json& message);
  // The code of the error that answers, or the type of another answer.
  std::string Code(int id, const std::string& text);

  // Connects and says hello; Join joins as well.
  void Hello(int id);
  void Join(int id, const std::string& name, const std::string& room = "");
  // The same in a session that can be resumed. They return the `welcome`.
  nlohmann::json KeptHello(
      int id, const nlohmann::json& resume = nlohmann::json::object());
  nlohmann::json KeptJoin(int id, const std::string& name);
  // Comes back to the session of `welcome` on connection `id`, having had
  // `received` messages behind it.
  nlohmann::json Resume(int id, const nlohmann::json& welcome,
                        uint64_t received);
  // An accepted call between 1 ("ada") and 2 ("bob"); returns its id.
  std::string Call();

  // Answers with ICE servers, of another password each time.
  void Provide(const std::string& session);
  void Lose(int id);
  void Pass(absl::Duration time);
  void Collect();
  std::vector<std::string> Types(int id);

  SeededRandom random;
  absl::Time now = absl::FromUnixSeconds(1000);
  Server server;
  bool give_ice_servers = true;    // To who says hello,
  bool answer_credentials = true;  // and to who asks for new ones.
  int credentials_wanted = 0;
  std::map<int, std::vector<nlohmann::json>> sent;
  std::map<int, CloseConnection> closed;
  std::vector<std::string> opened_sessions, expired_sessions, closed_sessions;

 private:
  void Deliver();

  int passwords_ = 0;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TESTING_SERVER_WORLD_H_
