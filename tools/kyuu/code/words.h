// The words of codes.

#ifndef KYUU_TOOLS_KYUU_CODE_WORDS_H_
#define KYUU_TOOLS_KYUU_CODE_WORDS_H_

#include <array>
#include <cstddef>

#include "absl/strings/string_view.h"

namespace kyuu::tools {

constexpr size_t kWordCount = 256;  // 8 bits each.
// The first letters that tell each word from all others.
constexpr size_t kWordPrefix = 3;

// Words of 5 to 8 letters, in order, of things that one can see or touch as far
// as possible. No two begin with the same three letters, and it takes three
// wrong letters at least to make one of another (code_test.cc).
constexpr std::array<absl::string_view, kWordCount> kWords = {
    "acorn",    "alpine",   "amber",    "anchor",   "antelope", "apricot",
    "arcade",   "artist",   "autumn",   "avocado",  "bagel",    "ballad",
    "bamboo",   "banjo",    "barley",   "beacon",   "beetle",   "bicycle",
    "biscuit",  "blossom",  "bonfire",  "boulder",  "bracelet", "breeze",
    "bridge",   "buffalo",  "bundle",   "butter",   "cabin",    "cactus",
    "camera",   "canyon",   "captain",  "carpet",   "castle",   "cedar",
    "cello",    "chapel",   "cherry",   "chimney",  "cinema",   "circus",
    "clarinet", "clover",   "coconut",  "comet",    "copper",   "coral",
    "cottage",  "cowboy",   "cradle",   "cricket",  "crystal",  "cushion",
    "cymbal",   "daisy",    "dancer",   "denim",    "desert",   "diamond",
    "doctor",   "dolphin",  "domino",   "donkey",   "dragon",   "drummer",
    "dungeon",  "eagle",    "eclipse",  "elbow",    "elephant", "emperor",
    "engine",   "escape",   "evening",  "fabric",   "falcon",   "farmer",
    "feather",  "fennel",   "festival", "fiddle",   "finger",   "flamingo",
    "flute",    "forest",   "fossil",   "fountain", "frozen",   "fruit",
    "galaxy",   "garden",   "gazelle",  "geyser",   "giraffe",  "glacier",
    "globe",    "goblet",   "gondola",  "gorilla",  "granite",  "guitar",
    "harbor",   "hedgehog", "helmet",   "heron",    "hippo",    "history",
    "horizon",  "hydrogen", "iceberg",  "igloo",    "insect",   "island",
    "ivory",    "jacket",   "jaguar",   "jasmine",  "jewel",    "jigsaw",
    "journal",  "juniper",  "kangaroo", "kayak",    "kingdom",  "kitchen",
    "koala",    "ladder",   "lagoon",   "lantern",  "laptop",   "lavender",
    "leopard",  "library",  "lilac",    "lizard",   "lobster",  "lotus",
    "lunar",    "magnet",   "marble",   "meadow",   "melody",   "mermaid",
    "meteor",   "midnight", "mirror",   "mitten",   "mosaic",   "muffin",
    "museum",   "napkin",   "nectar",   "nickel",   "noodle",   "north",
    "nutmeg",   "oasis",    "ocean",    "octopus",  "office",   "olive",
    "onion",    "opera",    "orange",   "orchard",  "origin",   "ostrich",
    "oxygen",   "palace",   "panda",    "papaya",   "parrot",   "pebble",
    "pelican",  "piano",    "picnic",   "pigeon",   "pilot",    "pirate",
    "planet",   "polar",    "popcorn",  "potato",   "pretzel",  "prism",
    "pumpkin",  "puzzle",   "pyramid",  "quarry",   "queen",    "quilt",
    "rabbit",   "radio",    "railway",  "raven",    "recipe",   "ribbon",
    "ripple",   "robot",    "rubber",   "safari",   "satchel",  "scarf",
    "school",   "scissors", "seagull",  "shepherd", "shovel",   "signal",
    "silver",   "sketch",   "slipper",  "snail",    "soccer",   "spinach",
    "squirrel", "stable",   "sunset",   "swallow",  "swing",    "tailor",
    "teapot",   "temple",   "tennis",   "theater",  "thunder",  "toast",
    "topaz",    "tornado",  "tractor",  "trumpet",  "tulip",    "turtle",
    "umbrella", "unicorn",  "vanilla",  "vessel",   "village",  "violin",
    "volcano",  "voyage",   "waffle",   "walnut",   "water",    "whale",
    "whisper",  "window",   "wonder",   "yacht",    "yogurt",   "young",
    "zebra",    "zenith",   "zigzag",   "zodiac"};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_WORDS_H_
