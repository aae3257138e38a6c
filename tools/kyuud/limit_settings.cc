// The rows of [limits]: what clients can make the server hold, send and do.

#include "relay/options.h"
#include "tools/kyuud/setting_rows.h"

namespace kyuu::tools {
namespace {

using Change = Setting::Change;
using Turn = turn::ServerOptions;
using Streams = relay::StreamSettings;
using Client = relay::StreamClientOptions;
using Dtls = relay::DtlsClientsOptions;

// More is a mistake on any machine.
constexpr int64_t kMaxBytes = int64_t{1} << 40;

// A field of the limits of bandwidth.
using Limits = turn::BandwidthLimits;
template <auto kField>
constexpr Setting BandwidthRow(absl::string_view key, absl::string_view flag,
                               absl::string_view form, absl::string_view doc) {
  return Row<&Config::turn, &Turn::bandwidth, kField>("limits", key, flag, form,
                                                      Change::kReload, doc);
}

constexpr Setting kLimitSettings[] = {
    Bounded<1, 1'000'000, &Config::connections_max>(
        "limits", "connections", "max-connections", "N", Change::kRestart,
        "TCP connections; less if descriptors do not suffice"),
    Bounded<1, 1'000'000, &Config::connections_per_address>(
        "limits", "connections-per-address", "connections-per-address", "N",
        Change::kRestart,
        "TCP connections of one IPv4 address or IPv6 /64, and a quarter of "
        "all at most"),
    Bounded<2, 100'000, &Config::peers_per_room>(
        "limits", "peers-per-room", "peers-per-room", "N", Change::kRestart,
        "Peers of one room of signaling, each of whom is told of all others"),
    Bounded<1, 100'000, &Config::peers_per_room_per_address>(
        "limits", "peers-per-room-per-address", "peers-per-room-per-address",
        "N", Change::kRestart, "Those of one IPv4 address or IPv6 /64"),
    Bounded<10'000, 1'000'000'000, &Config::presence_bytes_per_s>(
        "limits", "presence-bytes-per-second", "presence-bytes-per-second",
        "BYTES", Change::kRestart,
        "What a room may cost to be told who is there, all its peers together; "
        "changes wait, and become one, while it would be more"),
    Bounded<10'000, 1'000'000'000, &Config::message_bytes_per_s>(
        "limits", "message-bytes-per-second", "message-bytes-per-second",
        "BYTES", Change::kRestart,
        "What messages of applications for all of a room may cost, all its "
        "peers together; more are refused"),
    Bounded<2, 1'000, &Config::calls_per_peer>(
        "limits", "calls-per-peer", "calls-per-peer", "N", Change::kRestart,
        "Calls of one peer at once: where everybody is in a call with "
        "everybody, "
        "a room has one more peer than that"),
    Row<&Config::turn, &Turn::allocations_max>(
        "limits", "allocations", "max-allocations", "N", Change::kReload,
        "Allocations; less if descriptors or ports do not suffice"),
    Row<&Config::turn, &Turn::allocations_per_user_max>(
        "limits", "allocations-per-user", "allocations-per-user", "N",
        Change::kReload, "Allocations of one user"),
    Row<&Config::turn, &Turn::allocations_per_source_max>(
        "limits", "allocations-per-source", "allocations-per-source", "N",
        Change::kReload, "Allocations of one IPv4 address or IPv6 /64"),
    Row<&Config::turn, &Turn::peer_connections_max>(
        "limits", "peer-connections", "max-peer-connections", "N",
        Change::kReload,
        "TCP connections with peers (RFC 6062), each of two descriptors"),
    Row<&Config::turn, &Turn::peer_connections_per_user_max>(
        "limits", "peer-connections-per-user", "peer-connections-per-user", "N",
        Change::kReload, "Those of one user"),
    Row<&Config::turn, &Turn::peer_connections_per_allocation_max>(
        "limits", "peer-connections-per-allocation",
        "peer-connections-per-allocation", "N", Change::kReload,
        "Those of one allocation"),
    Row<&Config::turn, &Turn::source_share>(
        "limits", "source-share", "source-share", "SHARE", Change::kReload,
        "The part of the relay ports that one such source may have"),
    Row<&Config::turn, &Turn::permissions_max>(
        "limits", "permissions", "max-permissions", "N", Change::kReload,
        "Permissions of one allocation"),
    Row<&Config::turn, &Turn::channels_max>(
        "limits", "channels", "max-channels", "N", Change::kReload,
        "Channels of one allocation"),
    Row<&Config::turn, &Turn::reservations_max>(
        "limits", "reservations", "max-reservations", "N", Change::kReload,
        "Ports reserved by EVEN-PORT at once"),
    Row<&Config::turn, &Turn::unauthenticated_gain_bytes_per_s>(
        "limits", "stranger-bytes-per-second", "stranger-bytes-per-second",
        "BYTES", Change::kReload,
        "By how much errors to one source that has proven nothing may be "
        "longer than its requests; 0 for no limit"),
    Row<&Config::turn, &Turn::unauthenticated_gain_bytes_burst>(
        "limits", "stranger-bytes-burst", "stranger-bytes-burst", "BYTES",
        Change::kReload, "And at once"),
    Row<&Config::turn, &Turn::auth_failures_per_s>(
        "limits", "auth-failures-per-second", "auth-failures-per-second",
        "RATE", Change::kReload,
        "Wrong credentials of one source that are looked at; 0 for no limit"),
    Row<&Config::turn, &Turn::auth_failures_burst>(
        "limits", "auth-failures-burst", "auth-failures-burst", "N",
        Change::kReload, "And at once"),
    BandwidthRow<&Limits::allocation_bytes_per_s>(
        "bytes-per-second", "allocation-bytes-per-second", "BYTES",
        "Of payload that one allocation may relay in each direction; 0 for no "
        "limit. What is over is dropped"),
    BandwidthRow<&Limits::user_bytes_per_s>(
        "bytes-per-second-per-user", "user-bytes-per-second", "BYTES",
        "That all allocations of one user may"),
    BandwidthRow<&Limits::total_bytes_per_s>("bytes-per-second-in-all",
                                             "total-bytes-per-second", "BYTES",
                                             "That all allocations may"),
    BandwidthRow<&Limits::burst>(
        "bytes-burst", "bytes-burst", "TIME",
        "What was not used of so long may be relayed at once; 20ms at least"),

    Bounded<1, 10'000'000, &Config::turn, &Turn::granted_max>(
        "limits", "credentials", "max-credentials", "N", Change::kReload,
        "Credentials of signaling that are good at one time"),
    Bounded<1, 1'000'000, &Config::turn, &Turn::answers_max>(
        "limits", "answers", "max-answers", "N", Change::kReload,
        "Answers that wait to be sent at one loop"),
    Bounded<1, 1'000'000, &Config::turn, &Turn::events_max>(
        "limits", "events", "max-events", "N", Change::kReload,
        "Sockets that wait to be opened or closed at one loop, and lines to "
        "be logged; beyond, requests for allocations are dropped"),
    Bounded<1, 1'000'000, &Config::turn, &Turn::unauthenticated_sources>(
        "limits", "sources", "max-sources", "N", Change::kRestart,
        "Sources (IPv4 addresses, IPv6 /64) that are told apart, of 48 bytes "
        "each, by stranger-bytes and auth-failures"),
    Bounded<1, 1'000'000, &Config::turn, &Turn::proven_factor>(
        "limits", "proven-factor", "proven-factor", "N", Change::kReload,
        "By how much stranger-bytes are more for a source that has shown a "
        "good credential"),
    Row<&Config::turn, &Turn::proven_for>("limits", "proven-for", "proven-for",
                                          "TIME", Change::kReload,
                                          "And for how long"),
    Bounded<4096, kMaxBytes, &Config::handover_bytes_max>(
        "limits", "handover-bytes", "handover-bytes", "BYTES", Change::kRestart,
        "What waits at one loop of data between relayed addresses"),

    AtLeast<kSecond, &Config::first_byte_timeout>(
        "limits", "first-byte", "first-byte-timeout", Change::kRestart,
        "How long a TCP connection may say nothing, and again inside TLS"),
    AtLeast<kSecond, &Config::write_timeout>(
        "limits", "write", "write-timeout", Change::kRestart,
        "How long one of HTTP or WebSocket may take nothing of what waits for "
        "it"),
    AtLeast<kSecond, &Config::streams, &Streams::client, &Client::idle_timeout>(
        "limits", "stream-idle", "stream-idle-timeout", Change::kRestart,
        "How long a TURN client on TCP or TLS may be there without an "
        "allocation; an hour, if it asks by Bindings where it comes from"),
    Bounded<512, 65'555, &Config::streams, &Streams::client,
            &Client::stranger_message_bytes>(
        "limits", "stream-message-bytes", "stream-message-bytes", "BYTES",
        Change::kRestart, "The longest message of one that has none"),
    Bounded<4096, kMaxBytes, &Config::streams, &Streams::client,
            &Client::queued_bytes_max>(
        "limits", "stream-queue-bytes", "stream-queue-bytes", "BYTES",
        Change::kRestart,
        "Data that waits for one that does not read; beyond, it is dropped"),
    Bounded<4096, kMaxBytes, &Config::streams, &Streams::client,
            &Client::answers_bytes_max>(
        "limits", "stream-answer-bytes", "stream-answer-bytes", "BYTES",
        Change::kRestart,
        "Answers that may wait besides; beyond, the client is given up"),
    Bounded<65'536, kMaxBytes, &Config::streams, &Streams::bytes_max>(
        "limits", "streams-bytes", "streams-bytes", "BYTES", Change::kRestart,
        "What all of them make the server hold"),

    Bounded<1, 1'000'000, &Config::dtls, &Dtls::sessions_max>(
        "limits", "dtls-sessions", "max-dtls-sessions", "N", Change::kRestart,
        "Clients on DTLS, of about 4 kB each"),
    Bounded<1, 1'000'000, &Config::dtls, &Dtls::sessions_per_source_max>(
        "limits", "dtls-sessions-per-address", "dtls-sessions-per-address", "N",
        Change::kRestart, "Those of one IPv4 address or IPv6 /64"),
    AtLeast<kSecond, &Config::dtls, &Dtls::idle_timeout>(
        "limits", "dtls-idle", "dtls-idle-timeout", Change::kRestart,
        "How long one may be there without an allocation"),
    AtLeast<kSecond, &Config::dtls, &Dtls::session,
            &dtls::Options::handshake_timeout>(
        "limits", "dtls-handshake", "dtls-handshake-timeout", Change::kRestart,
        "How long its handshake may take"),
    Bounded<1, 1'000'000, &Config::dtls, &Dtls::outgoing_max>(
        "limits", "dtls-outgoing", "max-dtls-outgoing", "N", Change::kRestart,
        "Datagrams of handshakes that wait to be sent at one loop"),
};

}  // namespace

absl::Span<const Setting> LimitSettings() { return kLimitSettings; }

}  // namespace kyuu::tools
