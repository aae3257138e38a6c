#include "tools/kyuu/page_url.h"

#include "base/testing.h"

namespace kyuu::tools {
namespace {

TEST(PageUrl, TakesWhatABrowserShows) {
  struct Row {
    const char* text;
    const char* url;
    const char* room;
    bool relay;
  };
  for (const Row& row : {
           Row{"http://h:9000", "http://h:9000/v1/ws", "", false},
           Row{"http://h:9000/", "http://h:9000/v1/ws", "", false},
           Row{"http://h/?room=red", "http://h/v1/ws", "red", false},
           Row{"https://h/?room=a%20b+c%C3%A4&relay=1#x", "https://h/v1/ws",
               "a b cä", true},
           Row{"https://h/kyuu/", "https://h/kyuu/v1/ws", "", false},
           Row{"https://h/kyuu/index.html?name=ada", "https://h/kyuu/v1/ws", "",
               false},
           Row{"wss://h/kyuu/v1/ws", "wss://h/kyuu/v1/ws", "", false},
           Row{"ws://[::1]:9000", "ws://[::1]:9000/v1/ws", "", false},
       }) {
    const auto page = PageUrl::Parse(row.text);
    ASSERT_OK(page) << row.text;
    EXPECT_EQ(page->url, row.url);
    EXPECT_EQ(page->room, row.room);
    EXPECT_EQ(page->relay, row.relay) << row.text;
  }
}

TEST(PageUrl, RefusesEscapesThatAreNone) {
  for (const char* text :
       {"http://h/?room=%", "http://h/?room=%2", "http://h/?room=%zz"}) {
    EXPECT_THAT(PageUrl::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace kyuu::tools
