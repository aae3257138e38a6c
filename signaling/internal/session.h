// A session: a peer beyond its connection.

#ifndef KYUU_SIGNALING_INTERNAL_SESSION_H_
#define KYUU_SIGNALING_INTERNAL_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "base/queue.h"
#include "base/random.h"
#include "signaling/directory_types.h"
#include "signaling/internal/outbox.h"
#include "signaling/internal/shares.h"
#include "signaling/internal/token_bucket.h"
#include "signaling/server_options.h"
#include "signaling/session_message.h"
#include "signaling/token/admission.h"

namespace kyuu::signaling::internal {

struct Session {
  // Connected, and nothing said yet.
  struct New {};
  // `welcome` waits for the ICE servers.
  struct Welcoming {
    std::string hello_id;
    SessionOrigin origin = SessionOrigin::kNew;
  };
  struct Open {};
  // Messages that wait behind one that is unfinished.
  struct Waiting {
    Queue<std::string> messages;
    size_t bytes = 0;
  };

  Session(Member number, Source from, const ServerOptions& options,
          absl::Time now)
      : member(number),
        source(from),
        message_rate(options.message_rate, now),
        presence_rate(options.presence_rate, now),
        call_rate(options.call_rate, now),
        find_rate(options.find_rate, now) {}

  const Member member;
  Source source;
  std::variant<New, std::unique_ptr<Welcoming>, Open> stage;
  std::string id;
  // Of a session that can be resumed: who shows it is its client.
  std::string secret;
  // None while it waits for its client to come back.
  std::optional<ConnectionId> connection;
  // Messages behind `welcome`, and messages of the client behind `hello`.
  Outbox outbox;
  uint64_t received = 0;
  uint64_t received_acknowledged = 0;
  TokenBucket message_rate;
  TokenBucket presence_rate;
  TokenBucket call_rate;
  TokenBucket find_rate;  // Full where it has moved to.
  uint32_t dropped = 0;   // By `message_rate`, since it was full.
  uint16_t refused_tokens = 0;
  uint16_t refused_secrets = 0;  // Of rooms.
  // What its client may, if not what everybody may who shows nothing.
  std::unique_ptr<const Grant> granted;
  // Whom it does not want to hear of, by Directory::LooksOf(); null for nobody.
  std::unique_ptr<absl::btree_set<std::string>> blocked;
  Queue<std::string, 0> credential_requests;  // Their ids.
  // The message whose answer has to come from elsewhere first (federation.h),
  // and those that wait behind it, which nobody counts as received yet.
  std::unique_ptr<std::string> unfinished;
  // The same, of a session that has moved here: it begins anew once its client
  // is welcomed.
  std::unique_ptr<std::string> begun;
  std::unique_ptr<Waiting> waiting;

  const Grant& grant() const {
    static const Grant kNobodys;
    return granted == nullptr ? kNobodys : *granted;
  }
  bool resumable() const { return !secret.empty(); }
  bool is_open() const { return std::holds_alternative<Open>(stage); }
  bool is_new() const { return std::holds_alternative<New>(stage); }
  // Whether what is sent to it now has a number: all behind `welcome`, which
  // a session that is resumed has had.
  bool is_numbered() const {
    const auto* welcoming = std::get_if<std::unique_ptr<Welcoming>>(&stage);
    return resumable() &&
           (is_open() || (welcoming != nullptr &&
                          (*welcoming)->origin == SessionOrigin::kResumed));
  }
};

// Sessions keeps all of them, and their times.
class Sessions {
 public:
  enum class Timer : uint8_t {
    kHello,        // From the connection to `hello`.
    kGrace,        // From the loss of the connection to the end.
    kCredentials,  // From the ICE servers to a while before they are stale.
    kToken,        // To the end of what its client was let in by.
  };
  struct Due {
    Timer timer;
    Session* session;
  };

  // `options` and `random` must outlive it.
  Sessions(const ServerOptions& options, Random& random)
      : options_(&options), random_(&random) {}

  Session& Add(absl::Time now, const Source& source) {
    return Add(now, source, NewMember());
  }
  // One that `member`, of no session here, is from now on.
  Session& Add(absl::Time now, const Source& source, Member member);
  // A number that nobody has had.
  Member NewMember() { return Member{next_member_++}; }
  // Gives a new session the name, the secret and the messages of one that was
  // elsewhere.
  void Restore(Session& session, std::string id, std::string secret,
               uint64_t forgotten, const std::vector<std::string>& kept);
  // Gives it its id, and a secret if it can be resumed.
  void Name(Session& session, bool resumable);
  // nullptr if there is none.
  Session* Find(Member member);
  Session* Find(absl::string_view id);
  // The session that `request` may go on with; nullptr if there is none of that
  // id and secret, or messages that it asks for are gone.
  Session* FindResumable(const ResumeRequest& request);
  // The connection is gone. False if there is no room for one more that waits:
  // then it ends.
  bool BeginGrace(absl::Time now, Session& session);
  void EndGrace(Session& session);
  void Remove(Session& session);

  // Keeps `text` for a resumption. False if the session is beyond its bounds
  // while its client is away, so that it ends.
  bool Keep(Session& session, const absl::Cord& text);
  bool Acknowledge(Session& session, uint64_t number);

  void Set(Timer timer, const Session& session, absl::Time deadline) {
    deadlines_.Set({timer, session.member}, deadline);
  }
  void Stop(Timer timer, const Session& session) {
    deadlines_.Stop({timer, session.member});
  }
  std::optional<Due> PopDue(absl::Time now);
  absl::Time NextTimeout() const { return deadlines_.NextTimeout(); }

  const absl::node_hash_map<Member, Session>& all() const { return sessions_; }
  size_t size() const { return sessions_.size(); }
  size_t in_grace() const { return in_grace_; }
  size_t kept_bytes() const { return kept_bytes_; }

 private:
  const ServerOptions* options_;
  Random* random_;
  absl::node_hash_map<Member, Session> sessions_;
  absl::flat_hash_map<absl::string_view, Member> by_id_;  // Theirs.
  DeadlineQueue<std::pair<Timer, Member>> deadlines_;
  uint64_t next_member_ = 1;
  size_t in_grace_ = 0;
  Shares grace_;
  size_t kept_bytes_ = 0;  // Of all outboxes.
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_SESSION_H_
