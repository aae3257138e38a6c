"""Two `kyuu peer` processes whose signaling goes by hand: what one prints is
what the other reads.

For tests of kyuud, of tools/torture too; Python's own library only.
"""

import json
import threading


def join(peers, seconds):
    """Carries messages between two processes until both have ended their output,
    for `seconds` at most; their results (None without one), and all their lines."""
    results, said = [None, None], [[], []]

    def pump(index):
        for line in peers[index].stdout:
            said[index].append(line)
            if not line.startswith("{"):
                continue
            message = json.loads(line)
            if message.get("event") == "result":
                results[index] = message
            if "event" not in message:
                try:
                    peers[1 - index].stdin.write(line)
                    peers[1 - index].stdin.flush()
                except (OSError, ValueError):
                    pass  # It has ended.
    threads = [threading.Thread(target=pump, args=(i,), daemon=True) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    return results, said
