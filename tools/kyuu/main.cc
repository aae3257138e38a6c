// The `kyuu` command: a WebRTC peer and toolbox (docs/kyuu.md).

#include <cstdint>
#include <string>

#include "CLI/CLI.hpp"
#include "tools/kyuu/peer_command.h"
#include "tools/kyuu/server_commands.h"

namespace {

using kyuu::tools::PeerOptions;

void AddPeer(CLI::App& app, PeerOptions& options, std::string& role,
             bool& text) {
  CLI::App* peer = app.add_subcommand(
      "peer", "One end of a connection; signaling on stdin and stdout");
  peer->add_option("--role", role, "offer or answer")
      ->check(CLI::IsMember({"offer", "answer"}));
  peer->add_option("--label", options.label, "Label of the channel");
  peer->add_option("--protocol", options.protocol, "Protocol of the channel");
  peer->add_flag("--unordered", options.unordered, "Deliver out of order");
  auto* retransmits = peer->add_option(
      "--max-retransmits", options.max_retransmits, "Retransmissions at most");
  peer->add_option("--max-packet-life-time", options.max_packet_life_time_ms,
                   "Milliseconds to try to deliver a message")
      ->check(CLI::Range(0, 65535))
      ->excludes(retransmits);
  peer->add_option("--negotiated", options.negotiated_id,
                   "Id of a channel that both sides open")
      ->check(CLI::Range(0, 65534));
  peer->add_option("--channels", options.channels, "Channels to open")
      ->check(CLI::Range(1, 10000));
  peer->add_option("--stun", options.stun_servers, "HOST:PORT");
  peer->add_option("--turn", options.turn_servers, "USER:PASSWORD@HOST:PORT");
  peer->add_flag("--relay", options.relay, "Relayed candidates only");
  peer->add_flag("--no-trickle", options.no_trickle,
                 "Put all candidates into the description");
  peer->add_flag("--echo", options.echo, "Send back what comes");
  peer->add_option("--send", options.send, "Messages to send on each channel");
  peer->add_option("--size", options.size, "Bytes of a message")
      ->check(CLI::Range(size_t{0}, size_t{1} << 30));
  peer->add_flag("--text", text, "Text instead of binary messages");
  peer->add_option("--interval", options.interval_ms,
                   "Milliseconds between messages")
      ->check(CLI::Range(0, 3600000));
  peer->add_option("--expect", options.expect, "Messages to receive");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("kyuu: talk to WebRTC peers from the command line", "kyuu");
  app.require_subcommand(1);

  PeerOptions peer;
  std::string role = "offer";
  bool text = false;
  AddPeer(app, peer, role, text);

  std::string url;
  app.add_subcommand("stun", "Ask a STUN server for this machine's address")
      ->add_option("url", url, "stun:HOST[:PORT]")
      ->required();
  app.add_subcommand("turn", "Send a datagram through a TURN relay and back")
      ->add_option("url", url, "turn:USER:PASSWORD@HOST[:PORT]")
      ->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (app.got_subcommand("stun")) return kyuu::tools::RunStun(url);
  if (app.got_subcommand("turn")) return kyuu::tools::RunTurn(url);
  peer.offer = role == "offer";
  if (text) peer.kind = kyuu::tools::PatternKind::kText;
  return kyuu::tools::RunPeer(peer);
}
