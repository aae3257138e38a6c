// The `kyuu` command: a WebRTC peer and toolbox (docs/kyuu.md).

#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "net/drive.h"
#include "net/tls.h"
#include "peer/host_sockets.h"
#include "tools/completion/completion.h"
#include "tools/kyuu/call_arguments.h"
#include "tools/kyuu/doctor/doctor.h"
#include "tools/kyuu/echo_command.h"
#include "tools/kyuu/find/find_command.h"
#include "tools/kyuu/media_use/media_use.h"
#include "tools/kyuu/network_use/network_use.h"
#include "tools/kyuu/password.h"
#include "tools/kyuu/peer_command.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/probe/netcheck.h"
#include "tools/kyuu/probe/server_commands.h"
#include "tools/kyuu/sdp/sdp_command.h"
#include "tools/kyuu/tcp_use/tcp_use.h"
#include "tools/kyuu/transfer/parts_command.h"
#include "tools/version/version.h"

namespace {

using kyuu::tools::PeerOptions;

void AddNatAddresses(CLI::App& command,
                     std::vector<kyuu::peer::NatMapping>& mappings) {
  command.add_option_function<std::vector<std::string>>(
      "--nat-address",
      [&mappings](const std::vector<std::string>& texts) {
        for (const std::string& text : texts) {
          auto mapping = kyuu::peer::NatMapping::Parse(text);
          if (!mapping.ok()) {
            throw CLI::ValidationError("--nat-address",
                                       std::string(mapping.status().message()));
          }
          mappings.push_back(*mapping);
        }
      },
      "PUBLIC[/OURS]: where a 1:1 NAT in front shows an address of ours");
}

void AddPeer(CLI::App& app, PeerOptions& options, std::string& role,
             bool& text) {
  CLI::App* peer = app.add_subcommand(
      "peer", "One end of a connection; signaling on stdin and stdout");
  peer->add_option("--role", role, "offer or answer")
      ->check(CLI::IsMember({"offer", "answer"}));
  peer->add_flag("--impolite", options.impolite,
                 "Ignore an offer that comes while ours is unanswered");
  peer->add_flag("--wait", options.wait,
                 "Begin when stdin says {\"type\":\"start\"}");
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
  kyuu::tools::AddNetworkUse(*peer, options.network);
  kyuu::tools::AddMediaUse(*peer, options.media);
  peer->add_flag("--hide-addresses", options.hide_addresses,
                 "Tell names of multicast DNS instead of addresses");
  AddNatAddresses(*peer, options.nat_mappings);
  peer->add_flag("--lite", options.lite,
                 "Be an ICE lite agent: answer checks and make none");
  kyuu::tools::AddTcpUse(*peer, options.tcp);
  peer->add_flag("--snap", options.snap,
                 "Tell SCTP's INIT in the description (a=sctp-init)");
  peer->add_flag("--sped", options.sped,
                 "Let the handshake of DTLS ride on ICE's checks");
  peer->add_option("--max-datagram", options.max_datagram,
                   "Bytes of the largest datagram to try")
      ->check(CLI::Range(size_t{0}, kyuu::net::DriveOptions().datagram_bytes));
  auto* echo = peer->add_flag("--echo", options.echo, "Send back what comes");
  peer->add_flag("--scripted", options.scripted,
                 "Tell each message, and end when stdin says so")
      ->excludes(echo);
  peer->add_option("--send", options.send, "Messages to send on each channel");
  peer->add_option("--size", options.size, "Bytes of a message")
      ->check(CLI::Range(size_t{0}, size_t{1} << 30));
  peer->add_flag("--text", text, "Text instead of binary messages");
  peer->add_option("--interval", options.interval_ms,
                   "Milliseconds between messages")
      ->check(CLI::Range(0, 3600000));
  peer->add_option("--expect", options.expect, "Messages to receive");
}

void AddNetcheck(CLI::App& app, kyuu::tools::NetcheckOptions& options) {
  CLI::App* command = app.add_subcommand(
      "netcheck", "What kind of network this is, and what will work in it");
  command
      ->add_option("servers", options.servers,
                   "STUN servers: HOST[:PORT] for UDP, TCP and TLS, or URLs as "
                   "of `kyuu stun` for one way each")
      ->required();
  command->add_flag("--lifetime", options.lifetime,
                    "Also find out how long a NAT keeps a silent mapping "
                    "(takes up to 5 minutes)");
}

void AddParts(CLI::App& app, kyuu::tools::PartsOptions& options) {
  CLI::App* command = app.add_subcommand(
      "parts", "Files that have come in part, which go on when sent again");
  command
      ->add_option("--dir", options.folder, "The folder; this one by default")
      ->check(CLI::ExistingDirectory);
  command
      ->add_option("--discard", options.discard,
                   "Throw the part of this file away; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_flag("--discard-all", options.discard_all,
                    "Throw all of them away");
}

void AddEcho(CLI::App& app, kyuu::tools::EchoOptions& options) {
  CLI::App* command = app.add_subcommand(
      "echo",
      "Answer any number of peers on one port; signaling on stdin and stdout");
  command->add_option("--port", options.port,
                      "UDP port of all connections; 0: any that is free");
  command->add_option("--tcp-port", options.tcp_port,
                      "TCP port for peers that connect; 0: any that is free");
  kyuu::tools::AddTcpUse(*command, options.tcp);
  kyuu::tools::AddNetworkUse(*command, options.network);
  AddNatAddresses(*command, options.nat_mappings);
  command->add_flag("--lite", options.lite,
                    "Be an ICE lite agent: answer checks and make none");
}

void AddSdp(CLI::App& app, kyuu::tools::SdpOptions& options) {
  CLI::App* command = app.add_subcommand(
      "sdp", "What a session description says, and what is wrong with it");
  command->add_option("file", options.file, "The file; - is stdin")->required();
  command->add_flag("--strict", options.strict,
                    "Status 1 if anything is against the letter of the RFCs");
  command->add_flag("--json", options.json, "One JSON object");
}

void AddDoctor(CLI::App& app, kyuu::tools::DoctorOptions& options) {
  CLI::App* command = app.add_subcommand(
      "doctor", "What is wrong with a server, and how to make it right");
  command
      ->add_option("url", options.url,
                   "The address of its page; with --proxy that at which kyuud "
                   "listens")
      ->required();
  command->add_flag("--json", options.json, "One JSON object");
  command->add_flag("--slow{65}", options.slow_s,
                    "Also see whether a silent WebSocket lives for 65 s, or as "
                    "many as --slow=N says");
  command
      ->add_option("--token-file", options.token_file,
                   "A file with the token, or API key, that lets us in")
      ->type_name("FILE");
  command->add_option("--backend", options.backend,
                      "Where kyuud listens behind a proxy, for lines that are "
                      "printed as a fix");
  CLI::Option* proxy = command->add_option(
      "--proxy", options.proxy,
      "Print the lines for this proxy: nginx, haproxy or caddy");
  command
      ->add_option("--public-url", options.public_url,
                   "Where people find the server behind the proxy")
      ->needs(proxy);
  command
      ->add_option("--tls-certificate", options.certificate,
                   "The proxy's certificate, a PEM file")
      ->type_name("FILE")
      ->needs(proxy);
  command
      ->add_option("--tls-key", options.key,
                   "Its key; for haproxy the certificate's name with .key")
      ->type_name("FILE")
      ->needs(proxy);
}

struct ToolOptions {
  kyuu::tools::DoctorOptions doctor;
  kyuu::tools::NetcheckOptions netcheck;
  kyuu::tools::SdpOptions sdp;
  kyuu::tools::EchoOptions echo;
  kyuu::tools::PartsOptions parts;
  kyuu::tools::FindOptions find;
  kyuu::tools::TurnCommand turn;
};

void AddTurn(CLI::App& app, kyuu::tools::TurnCommand& options) {
  CLI::App* turn = app.add_subcommand(
      "turn", "Send a datagram through a TURN relay and back");
  using Moves = kyuu::tools::TurnQuestion::Moves;
  using Ways = kyuu::tools::TurnQuestion::Ways;
  CLI::Option* tcp = turn->add_flag_callback(
      "--tcp", [&options] { options.ways = Ways::kTcp; },
      "TCP to peers (RFC 6062): one end connects to the other");
  turn->add_flag_callback(
          "--move", [&options] { options.moves = Moves::kOnce; },
          "And again, once one end has gone on from another port or stream "
          "(RFC 8016)")
      ->excludes(tcp);
  CLI::Option* dual =
      turn->add_flag_callback(
              "--dual",
              [&options] {
                options.families = kyuu::turn::ClientOptions::Families::kBoth;
              },
              "Each end has an IPv4 and an IPv6 address of one allocation, and "
              "the datagram goes by both (ADDITIONAL-ADDRESS-FAMILY)")
          ->excludes(tcp);
  turn->add_flag_callback(
          "--port-pair",
          [&options] {
            options.ports = kyuu::tools::TurnQuestion::Ports::kPair;
          },
          "The ends have an even port and the one above, which the server "
          "keeps meanwhile (EVEN-PORT, RESERVATION-TOKEN)")
      ->excludes(tcp)
      ->excludes(dual);
  turn->add_flag_callback(
          "--dont-fragment",
          [&options] {
            options.fragments = kyuu::turn::ClientOptions::Fragments::kForbid;
          },
          "What goes to the other end is not to be cut on its way "
          "(DONT-FRAGMENT)")
      ->excludes(tcp);
  turn->add_option("--hold", options.hold_seconds,
                   "And again after so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 86'400))
      ->excludes(tcp);
  turn->add_option("--token-file", options.token_file,
                   "Instead of a password the token of an authorization server "
                   "(RFC 7635), as that has answered: JSON with access_token, "
                   "kid, key and expires_in; read again when it runs out")
      ->type_name("FILE");
  turn->add_option("url", options.url,
                   "turn:USER@HOST[:PORT][?transport=tcp] or "
                   "turns:USER@HOST[:PORT]; the password is asked for, or "
                   "that of KYUU_TURN_PASSWORD")
      ->required();
}

void AddTools(CLI::App& app, ToolOptions& options) {
  AddTurn(app, options.turn);
  AddNetcheck(app, options.netcheck);
  AddDoctor(app, options.doctor);
  AddSdp(app, options.sdp);
  AddEcho(app, options.echo);
  AddParts(app, options.parts);
  options.find.name = kyuu::tools::CallerName();
  kyuu::tools::AddFind(app, options.find);
}

// Runs a tool that needs nothing of what the others share; nullopt if it was
// another one.
std::optional<int> RunAlone(const CLI::App& app, const ToolOptions& options) {
  if (app.got_subcommand("sdp")) return kyuu::tools::RunSdp(options.sdp);
  if (app.got_subcommand("echo")) return kyuu::tools::RunEcho(options.echo);
  if (app.got_subcommand("parts")) return kyuu::tools::RunParts(options.parts);
  return std::nullopt;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "kyuu: %s\n",
               kyuu::tools::PrintableLine(status.message()).c_str());
  return 1;
}

// Has TLS trust the authorities of `file` beside the system's directory of
// them, everywhere in this process, by OpenSSL's own variable.
absl::Status TrustAuthorities(const std::string& file) {
  if (file.empty()) return absl::OkStatus();
  const absl::Status usable =
      kyuu::net::TlsContext::Client({.server_name = "any", .ca_file = file})
          .status();
  if (usable.ok()) setenv("SSL_CERT_FILE", file.c_str(), 1);
  return usable;
}

int Turn(kyuu::tools::TurnCommand command) {
  const auto known = kyuu::tools::WithPassword(command.url);
  if (!known.ok()) return Fail(known.status());
  if (*known == command.url && command.url.find('@') != std::string::npos) {
    std::fprintf(stderr,
                 "kyuu: a password on the command line is seen by everybody "
                 "on this machine; USER@HOST asks for it\n");
  }
  command.url = *known;
  return kyuu::tools::RunTurn(command);
}

// The commands that look at servers; nullopt if it is another one.
std::optional<int> RunProbe(const CLI::App& app, const ToolOptions& tools,
                            const std::string& url) {
  if (app.got_subcommand("doctor")) {
    return kyuu::tools::RunDoctor(tools.doctor);
  }
  if (app.got_subcommand("find")) return kyuu::tools::RunFind(tools.find);
  if (app.got_subcommand("stun")) return kyuu::tools::RunStun(url);
  if (app.got_subcommand("turn")) return Turn(tools.turn);
  if (app.got_subcommand("netcheck")) {
    return kyuu::tools::RunNetcheck(tools.netcheck);
  }
  return std::nullopt;
}

void AddCompletion(CLI::App& app, std::string& shell) {
  app.add_subcommand("completion", "A script that completes our words")
      ->add_option("shell", shell, "bash, zsh or fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->required();
}

int Complete(const CLI::App& app, const std::string& shell) {
  // It is one of them.
  const auto script =
      kyuu::tools::Completion(shell, "kyuu", kyuu::tools::WordsOf(app));
  std::fputs(script->c_str(), stdout);
  return 0;
}

// Names what is wrong, in one line.
int Misused(const CLI::App& app, int argc, char** argv,
            const CLI::ParseError& error) {
  const std::string word = argc > 1 ? argv[1] : "";
  std::string why = error.what();
  const auto named = app.get_subcommands(
      [&word](const CLI::App* command) { return command->get_name() == word; });
  if (!word.empty() && word[0] != '-' && named.empty()) {
    why = "there is no command \"" + word + "\"";
  }
  std::fprintf(stderr, "kyuu: %s; kyuu --help lists what there is\n",
               kyuu::tools::PrintableLine(why).c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  // What messages took is taken again at once: the C library would give it back
  // to the kernel, and be given fresh pages for the next ones.
  mallopt(M_TRIM_THRESHOLD, 32 << 20);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  CLI::App app("kyuu: talk to WebRTC peers from the command line", "kyuu");
  app.require_subcommand(1);
  app.set_version_flag("--version",
                       std::string("kyuu ") + kyuu::tools::kVersion);
  std::string ca_file;
  app.fallthrough();
  app.add_option("--ca-file", ca_file,
                 "PEM file of authorities to trust beside the system's");

  PeerOptions peer;
  std::string role = "offer";
  bool text = false;
  AddPeer(app, peer, role, text);

  kyuu::tools::CallArguments calls;
  calls.Add(app);

  std::string url;
  app.add_subcommand("stun", "Ask a STUN server for this machine's address")
      ->add_option("url", url,
                   "stun:HOST[:PORT][?transport=tcp] or stuns:HOST[:PORT]")
      ->required();
  ToolOptions tools;
  AddTools(app, tools);
  std::string shell;
  AddCompletion(app, shell);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version are errors, too.
    if (error.get_exit_code() == 0) return app.exit(error);
    return Misused(app, argc, argv, error);
  }
  if (const auto code = RunAlone(app, tools)) return *code;
  if (app.got_subcommand("completion")) return Complete(app, shell);
  if (const absl::Status status = TrustAuthorities(ca_file); !status.ok()) {
    return Fail(status);
  }
  if (const auto status = RunProbe(app, tools, url)) return *status;
  if (const auto status = calls.Run(app)) return *status;
  for (std::string& server : peer.turn_servers) {
    const auto known = kyuu::tools::WithPassword(server);
    if (!known.ok()) return Fail(known.status());
    server = *known;
  }
  peer.offer = role == "offer";
  if (text) peer.kind = kyuu::tools::PatternKind::kText;
  return kyuu::tools::RunPeer(peer);
}
