// Federation: what makes a signaling server one of several: who is where else,
// which names are this node's, and sessions that move between nodes.
//
// Each node has all peers in its directory; those of others are members without
// a session. A call between two nodes is in the directory of both, and what one
// side does is a command of it on both. Names are claimed at an authority that
// all share, so that no two nodes give one away at once.
//
// A session moves when its client comes to another node and shows its secret:
//
//   new home          old home             all others
//     | -- Wanted ------> |                     |
//     |                   | -- Moving --------> |  hold back what is for it
//     |                   | <-------- Held ---- |  all before has arrived
//     | <------- Moved -- |                     |
//     | -- Here (of a greater epoch) ---------> |  send it there
//
// so that between any two peers nothing is lost, doubled or overtaken. The new
// home is one of "all others", too.

#ifndef KYUU_SIGNALING_INTERNAL_FEDERATION_H_
#define KYUU_SIGNALING_INTERNAL_FEDERATION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "base/random.h"
#include "signaling/backplane/links.h"
#include "signaling/backplane/node_message.h"
#include "signaling/server.h"
#include "signaling/server_nodes.h"

namespace kyuu::signaling::internal {

// A friend of the server, whose sessions and directory it works on; it belongs
// to it.
class Federation {
 public:
  Federation(FederationOptions options, NodeId self, Server& server,
             Random& random);

  // What becomes of the server's own peers.

  // Begins a `join` under this name: the session is busy until it is done.
  void Join(const Server::Context& context, JoinRequest request);
  // The peer is in a room with other metadata than before.
  void Announce(Member member);
  // It has left its room.
  void HandleLeft(absl::Time now, Member member);
  // The session ends; it is in no room any more.
  void HandleEnd(absl::Time now, Session& session);
  // Asks all nodes for a session that is not here; false if there are none. The
  // session of `context` is busy until they have answered.
  bool Want(const Server::Context& context, const ResumeRequest& resume,
            const Grant& grant);
  // The client's message is being handled, and has been: what it has made us
  // send is on its way.
  void BeginMessage() { touched_.clear(); }
  void EndMessage(Member member, uint64_t received);
  // Of `received` messages of the client those whose consequences have arrived
  // wherever they are for. Others are not acknowledged: should this server die,
  // nobody has them.
  uint64_t Arrived(Member member, uint64_t received);
  // Its client has come back while it was being given away.
  void BreakOffMove(absl::Time now, Member member);
  // Sends what is about a call between the two to `to`, if that is a peer of
  // another node.
  void Send(Member to, node::Message message);
  PeerId IdOf(Member member) const;

  void Publish(std::string text) { TellAll(node::Published{std::move(text)}); }
  void PassPeerJs(NodeId to, std::string text) {
    Tell(to, node::OfPeerJs{std::move(text)});
  }

  // What the driver says (server.h).
  void Handle(absl::Time now, Links::Event event);
  void Handle(absl::Time now, const ClaimAnswer& answer);
  void HandleBackplane(absl::Time now, BackplaneState state);
  void HandleTimeout(absl::Time now);
  absl::Time NextTimeout() const;
  std::optional<NodeCommand> PollCommand();

  size_t remote_peer_count() const { return placed_; }
  const FederationStats& stats() const { return stats_; }

 private:
  // A peer that began or is elsewhere.
  struct Remote {
    PeerId id;
    Member member{};
    NodeId home{};  // Zero: here.
    uint64_t epoch = 0;
    std::string place;
    node::Here told;
    bool is_placed = false;  // In the directory: nobody else has its name.
    bool is_moving = false;  // What is for it is held back.
    NodeId moving_to{};
    std::vector<std::string> held;
    size_t held_bytes = 0;
  };
  // A place that a peer of this node has, or waits for.
  struct Claim {
    struct Pending {
      std::string request_id;
      JoinRequest request;
    };
    Member member{};
    uint64_t epoch = 0;  // Zero: nobody has granted it yet.
    std::optional<Pending> pending;
  };
  // Somebody whose session may be elsewhere.
  struct Wanting {
    Member member{};  // Of the session that came.
    std::string request_id;
    uint64_t received = 0;
    Grant grant;
    absl::btree_set<NodeId> awaited;
  };
  struct Leaving {
    NodeId to{};
    uint64_t request = 0;
    uint64_t move = 0;
    absl::btree_set<NodeId> awaited;
  };

  void On(absl::Time now, NodeId from, node::Here& here);
  void On(absl::Time now, NodeId from, node::Gone& gone);
  void On(absl::Time now, NodeId from, node::Rings& rings);
  void On(absl::Time now, NodeId from, node::Accepted& accepted);
  void On(absl::Time now, NodeId from, node::Rejected& rejected);
  void On(absl::Time now, NodeId from, node::Ended& ended);
  void On(absl::Time now, NodeId from, node::Signalled& signalled);
  void On(absl::Time now, NodeId from, node::Wanted& wanted);
  void On(absl::Time now, NodeId from, node::NotHere& not_here);
  void On(absl::Time now, NodeId from, node::Moving& moving);
  void On(absl::Time now, NodeId from, node::Held& held);
  void On(absl::Time now, NodeId from, node::Over& over);
  void On(absl::Time now, NodeId from, node::Published& published);
  void On(absl::Time now, NodeId from, node::Moved& moved);
  void On(absl::Time now, NodeId from, node::OfPeerJs& of_peerjs);
  void On(absl::Time now, NodeId from, node::Said& said);
  void HandleMessage(absl::Time now, NodeId from, const std::string& bytes);
  void HandleUp(NodeId node);
  void HandleLost(absl::Time now, NodeId node);

  // Places.
  void FinishJoin(absl::Time now, const std::string& place,
                  const ClaimAnswer& answer);
  void SetClaimTimer(absl::Time now, const std::string& place);
  void LoseName(absl::Time now, Member member);
  // Puts the peer into the directory unless somebody else has a better right to
  // its name.
  void Place(absl::Time now, Remote& remote);
  void Unplace(absl::Time now, Remote& remote);
  Remote* PlacedAt(const std::string& place);
  // Nobody is there any more: whoever waits for it.
  void Refill(absl::Time now, const std::string& place);

  // Peers.
  node::Here HereOf(Member member) const;
  Remote* Find(const PeerId& id);
  Remote* Find(Member member);
  std::optional<Member> MemberOf(const PeerId& id) const;
  Session* FindSession(const PeerId& id);
  Remote& Add(const PeerId& id, Member member, NodeId home);
  void Remove(absl::Time now, const PeerId& id);
  // The two of a call's message, `from` being of that node and `to` here.
  struct Sides {
    Member from{};
    Session* to = nullptr;
  };
  std::optional<Sides> SidesOf(NodeId node, const PeerId& from,
                               const PeerId& to);
  void SendTo(Remote& remote, std::string text);
  void SendHeld(absl::Time now, Remote& remote);
  void Post(NodeId node, std::string text);
  void Tell(NodeId node, const node::Message& message);
  void TellAll(const node::Message& message);
  bool IsText(absl::string_view text) const;

  // Moves.
  void FinishMove(absl::Time now, Member member);
  node::Moved Pack(absl::Time now, Session& session, uint64_t request);
  // The session that came with `moved`; nullptr if it cannot be.
  Session* Unpack(absl::Time now, NodeId from, node::Moved& moved,
                  Wanting& wanting);
  bool UnpackPlace(absl::Time now, NodeId from, const node::Moved& moved,
                   Member member);
  bool IsSane(const node::Moved& moved) const;
  // Nobody has the session that was asked for.
  void GiveUpWanting(absl::Time now, uint64_t request);
  void NoteHere(NodeId from, uint64_t request);
  // Goes on with what waited behind a message that is done.
  void Continue(absl::Time now, Member member);

  const FederationOptions options_;
  const NodeId self_;
  Server& server_;
  Random& random_;
  bool is_connected_ = false;
  absl::btree_set<NodeId> nodes_;  // Whose links are up.
  absl::node_hash_map<PeerId, Remote> remotes_;
  absl::flat_hash_map<Member, PeerId> ids_;  // Of `remotes_`.
  absl::flat_hash_map<std::string, std::vector<PeerId>> by_place_;
  size_t placed_ = 0;
  absl::node_hash_map<std::string, Claim> claims_;
  absl::flat_hash_map<Member, std::string> places_;  // Of the granted ones.
  DeadlineQueue<std::string> claim_times_;
  uint64_t next_request_ = 1;
  absl::node_hash_map<uint64_t, Wanting> wanting_;
  DeadlineQueue<uint64_t> wanting_times_;
  absl::flat_hash_map<Member, Leaving> leaving_;
  DeadlineQueue<Member> leaving_times_;
  // Sessions that were here before, and who has them; and for those that are
  // here, where they have been.
  absl::flat_hash_map<std::string, NodeId> away_;
  absl::flat_hash_map<Member, std::vector<NodeId>> homes_;
  // Messages to nodes on their present links, and those of them that are there.
  struct Way {
    uint64_t sent = 0;
    uint64_t arrived = 0;
  };
  absl::flat_hash_map<NodeId, Way> ways_;
  struct OnTheWay {
    uint64_t received = 0;  // The client's message,
    NodeId node{};
    uint64_t number = 0;  // and what came of it.
  };
  absl::flat_hash_map<Member, std::deque<OnTheWay>> on_the_way_;
  absl::btree_set<NodeId> touched_;
  // Those for whom too much had to be held back, to be given up.
  std::vector<PeerId> overflown_;
  std::deque<NodeCommand> commands_;
  FederationStats stats_;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_FEDERATION_H_
