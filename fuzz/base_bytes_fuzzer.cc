// Reader: any order of reads over any bytes stays inside them, and a Writer
// repeats what was read.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kyuu::Reader, kyuu::Writer;
  Reader reader(absl::MakeConstSpan(data, size));
  std::vector<uint8_t> buffer(size);
  Writer writer(absl::MakeSpan(buffer));
  while (reader.ok() && !reader.empty()) {
    const size_t before = reader.remaining();
    switch (reader.Peek() % 5) {
      case 0:
        writer.U16(reader.U16());
        break;
      case 1:
        writer.U24(reader.U24());
        break;
      case 2:
        writer.U64(reader.U64());
        break;
      case 3:
        writer.Bytes(reader.Bytes(reader.Peek(1)));
        break;
      default:
        writer.U8(reader.U8());
    }
    if (reader.ok() && reader.remaining() == before) reader.Skip(1);
  }
  KYUU_CHECK(writer.size() <= size);

  // An address that parses prints as one that parses to itself.
  const absl::string_view text = kyuu::AsText(absl::MakeConstSpan(data, size));
  if (const auto a = kyuu::TransportAddress::Parse(text); a.ok()) {
    KYUU_CHECK(*kyuu::TransportAddress::Parse(a->ToString()) == *a);
  }
  if (const auto p = kyuu::IpPrefix::Parse(text); p.ok()) {
    KYUU_CHECK(*kyuu::IpPrefix::Parse(p->ToString()) == *p);
  }
  return 0;
}
