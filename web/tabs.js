// Which names the tabs of this browser hold: a tab that is duplicated brings the
// first one's name along, while the first one lives.

const ANSWER_WITHIN = 200;

export class TabNames {
  constructor() {
    this.held = undefined;
    if (!globalThis.BroadcastChannel) return;
    this.channel = new BroadcastChannel("kyuu-names");
    this.channel.onmessage = ({ data }) => {
      if (data?.ask !== undefined && data.ask === this.held) this.channel.postMessage({ held: this.held });
      if (data?.held !== undefined && data.held === this.asked) this.answer?.(true);
    };
  }

  key(name, room) {
    return JSON.stringify([location.pathname, room ?? "", name]);
  }
  hold(name, room) {
    this.held = this.key(name, room);
  }
  release() {
    this.held = undefined;
  }

  // Whether another tab holds `name`.
  heldElsewhere(name, room) {
    if (!this.channel) return Promise.resolve(false);
    this.asked = this.key(name, room);
    return new Promise((resolve) => {
      this.answer = resolve;
      setTimeout(() => resolve(false), ANSWER_WITHIN);
      this.channel.postMessage({ ask: this.asked });
    });
  }
}
