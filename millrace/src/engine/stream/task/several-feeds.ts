/** A topic that a plan reads in several ways: each record is decoded for each of them, and comes at its time for the first. */
import type { Decoded, Feed, RecordReader } from './task-input.ts';

export class SeveralFeeds implements Feed {
  time = -1;
  private readonly feeds: readonly Feed[];
  /** Of the current record, by feed. */
  private decoded: Decoded[] = [];

  constructor(feeds: readonly Feed[]) {
    this.feeds = feeds;
  }

  decode(reader: RecordReader): Decoded {
    this.decoded = this.feeds.map((feed) => feed.decode(reader));
    return this.together();
  }

  /** A feed has what it waited for. */
  settle(feed: number, isReady: boolean): Decoded {
    this.decoded[feed] = isReady ? 'ready' : 'skipped';
    return this.together();
  }

  count(): void {
    for (const [index, feed] of this.feeds.entries())
      if (this.decoded[index] === 'ready') feed.count();
  }

  deliver(): void {
    for (const [index, feed] of this.feeds.entries())
      if (this.decoded[index] === 'ready') feed.deliver();
  }

  private together(): Decoded {
    const first = this.decoded.indexOf('ready');
    this.time = this.feeds[first]?.time ?? -1;
    if (this.decoded.includes('waits')) return 'waits';
    return first < 0 ? 'skipped' : 'ready';
  }
}
