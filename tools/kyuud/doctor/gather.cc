#include "tools/kyuud/doctor/gather.h"

#include <hiredis/hiredis.h>
#include <sys/stat.h>
#include <sys/timex.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "net/interfaces.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "relay/addresses.h"
#include "relay/kernel/program.h"
#include "tools/kyuud/backplane/backplane.h"
#include "tools/kyuud/backplane/redis_connection.h"
#include "tools/kyuud/backplane/rights.h"
#include "tools/kyuud/daemon.h"
#include "tools/kyuud/doctor/hairpins.h"
#include "tools/kyuud/doctor/ports.h"
#include "tools/kyuud/healthcheck/healthcheck.h"
#include "tools/kyuud/kernel/open.h"
#include "tools/kyuud/turn_service.h"

namespace kyuu::tools {
namespace {

std::vector<PortFacts> GatherPorts(const Config& config) {
  std::vector<PortFacts> ports;
  for (const TransportAddress& listen : config.http_listen) {
    if (listen.port == 0) continue;  // Of the kernel's choice.
    ports.push_back(TryPort("[http] listen", Transport::kTcp, listen));
  }
  for (const TransportAddress& listen : config.turn_listen) {
    if (listen.port == 0) continue;
    ports.push_back(TryPort("[turn] listen", Transport::kUdp, listen));
  }
  return ports;
}

std::vector<CertificatePairFacts> GatherCertificates(const Config& config) {
  std::vector<CertificatePairFacts> pairs;
  for (size_t i = 0; i < config.tls_certificates.size(); ++i) {
    const std::string& file = config.tls_certificates[i];
    const net::TlsContext::ServerOptions options{
        .certificates = {{file, config.tls_keys[i]}}};
    pairs.push_back(
        {file, ReadChain(file), net::TlsContext::Server(options).status()});
  }
  return pairs;
}

SecretFileFacts LookAt(const std::string& file) {
  struct stat found = {};
  if (stat(file.c_str(), &found) != 0) return {file, std::nullopt};
  return {file, found.st_mode};
}

std::vector<SecretFileFacts> GatherSecrets(const Config& config) {
  std::vector<SecretFileFacts> secrets;
  const auto add = [&](const std::vector<std::string>& files) {
    for (const std::string& file : files) secrets.push_back(LookAt(file));
  };
  add(config.tls_keys);
  if (!config.backplane_tls.key_file.empty()) {
    add({config.backplane_tls.key_file});
  }
  add(config.rest_secret_files);
  for (const Config::Realm& realm : config.realms) add(realm.rest_secret_files);
  add(config.admission.api_key_files);
  for (const TokenKeyFile& key : config.admission.keys) {
    // The others are public keys.
    if (key.algorithm == signaling::TokenAlgorithm::kHs256) add({key.file});
  }
  const bool has_secrets =
      !config.turn.users.empty() || !config.admission.api_keys.empty() ||
      !config.turn.nonce_secret.empty() || !config.turn.tokens.keys.empty() ||
      config.turn.rest_secrets.size() > config.rest_secret_files.size() ||
      (config.backplane && !config.backplane->password.empty());
  if (has_secrets && !config.file.empty()) add({config.file});
  return secrets;
}

Machine GatherRelays(const Config& config) {
  const auto interfaces = net::Interfaces();
  if (!interfaces.ok()) return ReadMachine({});
  return ReadMachine(relay::AddressesOf(RelayOptions(config, {}),
                                        config.turn_listen, *interfaces)
                         .relay);
}

// Connects as a server would, and tries all that it may not do without.
class RedisCheck {
 public:
  RedisCheck(const BackplaneAddress& address, const BackplaneTls& tls)
      : address_(address), tls_(tls), rights_(address) {}

  absl::Status Run(absl::Duration patience) {
    KYUU_ASSIGN_OR_RETURN(
        const std::vector<TransportAddress> addresses,
        net::ResolveWithin(address_.host, address_.port, patience));
    KYUU_ASSIGN_OR_RETURN(const std::optional<net::TlsContext> tls,
                          ClientTls(address_, tls_));
    KYUU_ASSIGN_OR_RETURN(loop_, net::Loop::Create());
    net::Alarm deadline(*loop_, [&] {
      End(absl::DeadlineExceededError("does not answer in time"));
    });
    deadline.Set(net::Loop::Now() + patience);
    RedisConnection redis(
        *loop_, addresses.front(), tls,
        [&](absl::string_view why) { End(absl::UnavailableError(why)); });
    Ask(redis);
    loop_->Run();
    if (result_.ok()) return result_;
    return absl::Status(
        result_.code(),
        absl::StrCat("Redis at ", address_.Place(), ": ", result_.message()));
  }

 private:
  void Ask(RedisConnection& redis) {
    const std::vector<std::string> auth = AuthWords(address_);
    if (!auth.empty()) Try(redis, auth);
    if (address_.database != 0) {
      Try(redis, {"SELECT", absl::StrCat(address_.database)});
    }
    for (const std::vector<std::string>& words : rights_.Probes()) {
      Try(redis, words);
    }
    // Its one answer is the last of all.
    redis.Subscribe({rights_.ProbeChannel()}, [this](const redisReply& reply) {
      Judge("SUBSCRIBE", reply);
      End(rights_.complete() ? absl::OkStatus()
                             : absl::PermissionDeniedError(absl::StrCat(
                                   "its user may not do all that kyuud has "
                                   "to; what mends it: ",
                                   rights_.Mend())));
    });
  }

  void Try(RedisConnection& redis, const std::vector<std::string>& words) {
    redis.Send(words, [this, command = words[0]](const redisReply& reply) {
      Judge(command, reply);
    });
  }

  void Judge(absl::string_view command, const redisReply& reply) {
    if (rights_.NoteRefusal(command, reply)) return;
    if (reply.type == REDIS_REPLY_ERROR) {
      End(absl::PermissionDeniedError(absl::StrCat("it says ", TextOf(reply))));
    }
  }

  // The first counts.
  void End(absl::Status result) {
    if (!std::exchange(has_ended_, true)) result_ = std::move(result);
    loop_->Stop();
  }

  const BackplaneAddress& address_;
  const BackplaneTls& tls_;
  RedisRights rights_;
  std::unique_ptr<net::Loop> loop_;
  bool has_ended_ = false;
  absl::Status result_;
};

std::optional<bool> ReadClock() {
  timex clock = {};
  const int state = adjtimex(&clock);
  if (state < 0) return std::nullopt;
  return state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0;
}

// The machine's memory, or what the control group leaves of it.
std::optional<uint64_t> ReadMemory() {
  std::optional<uint64_t> bytes;
  std::ifstream machine("/proc/meminfo");
  std::string word;
  uint64_t number = 0;
  if (machine >> word >> number && word == "MemTotal:") bytes = number * 1024;
  std::ifstream group("/sys/fs/cgroup/memory.max");
  // "max" is no number, and no limit.
  if (group >> word && absl::SimpleAtoi(word, &number)) {
    bytes = std::min(bytes.value_or(number), number);
  }
  return bytes;
}

bool HeldByKyuud(const MachineFacts& facts) {
  return std::any_of(facts.ports.begin(), facts.ports.end(),
                     [](const PortFacts& port) {
                       return port.transport == Transport::kTcp &&
                              port.holder && port.holder->name == "kyuud";
                     });
}

}  // namespace

MachineFacts GatherMachine(const Config& config, absl::Duration patience) {
  MachineFacts facts;
  std::future<absl::Status> redis;
  if (config.backplane) {
    redis = std::async(std::launch::async, [&] {
      return RedisCheck(*config.backplane, config.backplane_tls).Run(patience);
    });
  }
  facts.configuration = CheckConfig(config);
  facts.machine = GatherRelays(config);
  facts.descriptors = net::RaiseDescriptorLimit();
  facts.ports = GatherPorts(config);
  auto hairpins = std::async(std::launch::async, [&, ports = facts.ports] {
    return GatherHairpins(config, ports, patience);
  });
  facts.certificates = GatherCertificates(config);
  facts.secrets = GatherSecrets(config);
  if (HeldByKyuud(facts)) facts.health = CheckHealth(config, patience);
  if (config.kernel.path != KernelSettings::Path::kOff) {
    // Loaded, attached nowhere, and gone with this statement.
    facts.kernel = relay::kernel::Program::Load(
                       KernelProgram(config.kernel, config.turn_listen))
                       .status();
  }
  facts.clock_synchronized = ReadClock();
  facts.memory_bytes = ReadMemory();
  if (redis.valid()) facts.backplane = redis.get();
  facts.hairpins = hairpins.get();
  return facts;
}

}  // namespace kyuu::tools
