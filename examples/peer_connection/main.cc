// Two peers in one process: one opens a channel and says hello, the other one
// answers. Between two machines, what passes between `alice` and `bob` here
// would go through a signaling server.

#include <cstdio>
#include <future>
#include <memory>
#include <string>

#include "peer/peer_connection.h"

using namespace kyuu::peer;  // NOLINT

int main() {
  std::unique_ptr<PeerConnection> alice, bob;
  std::promise<std::string> answer;

  alice = *PeerConnection::Create(
      {.loopback = LoopbackUse::kAlways},
      {.on_ice_candidate = [&](const IceCandidate& candidate) {
        // Refused only once the other has closed.
        bob->AddIceCandidate(candidate).IgnoreError();
      }});
  bob = *PeerConnection::Create(
      {.loopback = LoopbackUse::kAlways},
      {.on_ice_candidate =
           [&](const IceCandidate& candidate) {
             // Refused only once the other has closed.
             alice->AddIceCandidate(candidate).IgnoreError();
           },
       .on_data_channel =
           [](std::shared_ptr<DataChannel> channel) {
             channel->SetHandlers(
                 {.on_message = [](DataChannel& from, Message message) {
                   std::printf("bob got: %s\n",
                               std::string(message.text()).c_str());
                   // The peer has hung up if it is refused; on_close tells.
                   from.Send("hello, alice").IgnoreError();
                 }});
           }});

  auto chat = alice->CreateDataChannel(
      {.label = "chat"}, {.on_open =
                              [](DataChannel& channel) {
                                // The peer has hung up if it is refused;
                                // on_close tells.
                                channel.Send("hello, bob").IgnoreError();
                              },
                          .on_message =
                              [&](DataChannel&, Message message) {
                                answer.set_value(std::string(message.text()));
                              }});

  bool ok = chat.ok() && alice->SetLocalDescription().ok() &&
            bob->SetRemoteDescription(*alice->local_description()).ok() &&
            bob->SetLocalDescription().ok() &&
            alice->SetRemoteDescription(*bob->local_description()).ok();
  if (ok) std::printf("alice got: %s\n", answer.get_future().get().c_str());

  // Their handlers call each other: silence both before either is destroyed.
  alice->Close();
  bob->Close();
  return ok ? 0 : 1;
}
